/** Starting anew: from the horizon while it advances, from a time, at and behind a record; waiting and polling. */
import type { Batch, Stream } from 'millrace'
import { pause, tallyFor, type Context } from '../context.js'
import { STANDING, type Standing } from '../plan.js'
import { Breach } from '../tally.js'
import { count, deliveryOf, nextOf } from './follow.js'
import { open } from './produce.js'

/** Begins at the horizon, at a time or at a record, and reads some batches; again and again. */
export async function revisit(context: Context): Promise<void> {
  const { random } = context
  while (!context.signal.aborted) {
    const standing = random.pick(STANDING)
    const stream = await open(context.millrace, standing.name)
    const seen = fromHorizon(context, stream, standing)
    if (seen !== undefined) {
      fromTime(context, stream, standing, seen)
      fromRecord(context, stream, standing, seen)
    }
    context.counters.add('readersRestarted', seen === undefined ? 1 : 3)
    await pause(context, random.whole(5, 60))
  }
}

/** Polls at the tail, by looking at a mapped word and by a loop over the event loop's turns. */
export async function poll(context: Context): Promise<void> {
  const { random, ledger } = context
  while (!context.signal.aborted) {
    const { name, id } = random.pick(STANDING)
    const stream = await open(context.millrace, name)
    const polled = stream.read({ ...deliveryOf(random), mode: 'polled' })
    const tally = tallyFor(context, id, false)
    for (let turn = 0; turn < 40 && !context.signal.aborted; turn += 1) {
      const askedMs = ledger.now()
      const batch = random.chance(30) ? polled.pollFor(1) : polled.poll()
      if (batch !== undefined) tally.take(batch, askedMs)
      const next = random.chance(10) ? await nextOf(context, polled) : undefined
      if (next?.batch !== undefined) tally.take(next.batch, next.askedMs)
      await pause(context, 1)
    }
    polled.close()
    count(context, tally)
    await pause(context, random.whole(1, 100))
  }
}

/** Reads some batches from the horizon on; returns one of them. */
function fromHorizon(context: Context, stream: Stream, { id }: Standing): Batch | undefined {
  const reader = stream.read({ ...deliveryOf(context.random), from: 'TRIM_HORIZON', follow: false })
  const tally = tallyFor(context, id, true)
  let chosen: Batch | undefined
  for (let batches = context.random.whole(1, 12); batches > 0; batches -= 1) {
    const askedMs = context.ledger.now()
    const batch = reader.nextSync()
    if (batch === undefined) break
    tally.take(batch, askedMs)
    if (chosen === undefined || context.random.chance(30)) chosen = batch
  }
  reader.close()
  count(context, tally)
  return chosen
}

/** A read from a record's time begins at that record or before it, and with nothing that is older. */
function fromTime(context: Context, stream: Stream, standing: Standing, seen: Batch): void {
  const index = context.random.whole(0, seen.length - 1)
  const timestamp = seen.arrivalTime(index)
  const reader = stream.read({ from: { timestamp }, follow: false, visibility: 'published' })
  const batch = reader.nextSync()
  reader.close()
  if (batch === undefined) return checkGone(context, standing, seen, index, 'nothing')
  if (batch.arrivalTime(0) < timestamp) {
    throw new Breach(`${stream.name}: from time ${timestamp} came a record of ${batch.arrivalTime(0)}`)
  }
  const first = batch.sequenceNumber(0)
  // Of one length, and ordered over the whole stream, because the sequence stands before the shard.
  if (first > seen.sequenceNumber(index)) checkGone(context, standing, seen, index, first)
}

/** A read at a record begins with it, and one behind it with the record that follows. */
function fromRecord(context: Context, stream: Stream, standing: Standing, seen: Batch): void {
  const index = context.random.whole(0, Math.max(0, seen.length - 2))
  const read = (from: { at: string } | { after: string }): string => {
    const reader = stream.read({ from, follow: false, visibility: 'published' })
    const sequence = reader.nextSync()?.sequenceNumber(0) ?? 'nothing'
    reader.close()
    return sequence
  }
  const at = seen.sequenceNumber(index)
  const found = read({ at })
  if (found !== at) checkGone(context, standing, seen, index, found)
  if (index + 1 >= seen.length) return
  const behind = read({ after: at })
  if (behind !== seen.sequenceNumber(index + 1)) checkGone(context, standing, seen, index + 1, behind)
}

/** A record that is not found any more must have expired. */
function checkGone(context: Context, standing: Standing, seen: Batch, index: number, found: string): void {
  const { producer, counter } = context.payloads.check(seen.partitionKey(index), seen.data(index))
  const age = context.ledger.now() - context.ledger.arrivedAfter(producer, counter)
  const hourMs = context.pace.retentionMs / 24
  if (age + hourMs / 10 < standing.hoursLeast * hourMs) {
    const wanted = seen.sequenceNumber(index)
    throw new Breach(`${standing.name}: expected record ${wanted} of ${age.toFixed(0)} ms, found ${found}`)
  }
}
