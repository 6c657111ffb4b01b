/** Reading on: readers that keep up, lag, sleep over a whole retention, and are restarted where they stood. */
import type { Batch, ReadOptions, Reader, StartAt, Stream } from 'millrace'
import { codeOf, pause, tallyFor, type Context } from '../context.js'
import { SHIFTING, STANDING } from '../plan.js'
import type { Random } from '../random.js'
import { Breach, type Tally } from '../tally.js'
import { open } from './produce.js'

/** Follows one standing stream after the other as quickly as it can. */
export async function follow(context: Context): Promise<void> {
  await followWith(context, async () => {})
}

/** Follows too slowly, and sometimes sleeps until everything has expired. */
export async function lag(context: Context): Promise<void> {
  const { random, pace } = context
  await followWith(context, async () => {
    const ms = random.chance(4) ? random.fraction() * 1.4 * pace.retentionMs : random.whole(0, 60)
    await pause(context, ms)
  })
}

/** The ways in which a reader may be asked to hand records over. */
export function deliveryOf(random: Random): ReadOptions {
  return {
    maxRecords: random.pick([1, 17, 256, 1024, 4096]),
    maxBytes: random.pick([1, 4096, 256 << 10, 4 << 20]),
    copy: random.chance(30),
    visibility: random.chance(30) ? 'published' : 'durable',
  }
}

async function followWith(context: Context, linger: () => Promise<void>): Promise<void> {
  const { random, ledger, pace } = context
  while (!context.signal.aborted) {
    const { name, id } = random.pick(STANDING)
    const stream = await open(context.millrace, name)
    const from = random.pick<StartAt>(['TRIM_HORIZON', 'TRIM_HORIZON', 'LATEST'])
    const tally = tallyFor(context, id, from === 'TRIM_HORIZON')
    // A key moves on to the children of its shard, and a tally follows it through the whole stream only.
    const picks = name !== SHIFTING && random.chance(30)
    const shard = picks ? random.pick(stream.describe().shardList).shardId : undefined
    const until = ledger.now() + random.fraction() * 3 * pace.retentionMs
    await restartably(context, stream, { from, ...(shard === undefined ? {} : { shard }) }, async (batch, askedMs) => {
      tally.take(batch, askedMs)
      await linger()
      return ledger.now() < until
    })
    count(context, tally)
  }
}

/** Reads on until `take` says that it is enough; closes the reader now and then, and goes on behind what was taken. */
async function restartably(
  context: Context,
  stream: Stream,
  options: ReadOptions,
  take: (batch: Batch, askedMs: number) => Promise<boolean>,
): Promise<void> {
  let { from } = options
  for (;;) {
    const reader = stream.read({ ...options, ...deliveryOf(context.random), ...(from && { from }) })
    let last: string | undefined
    let wantsMore = true
    do {
      const { batch, askedMs } = await nextOf(context, reader)
      if (batch === undefined) return reader.close()
      if (batch.length === 0) throw new Breach(`a batch of ${stream.name} without records`)
      last = batch.sequenceNumber(batch.length - 1)
      wantsMore = await take(batch, askedMs)
    } while (wantsMore && !context.random.chance(2))
    reader.close()
    if (!wantsMore) return
    context.counters.add('readersRestarted')
    from = { after: last }
  }
}

/** The next batch and when it was asked for; `undefined` when the activity is told to stop. */
export async function nextOf(context: Context, reader: Reader): Promise<{ batch: Batch | undefined; askedMs: number }> {
  const stop = (): void => reader.close()
  context.signal.addEventListener('abort', stop, { once: true })
  try {
    const askedMs = context.ledger.now()
    const result = context.signal.aborted ? undefined : await reader.next()
    return { batch: result?.done === false ? result.value : undefined, askedMs }
  } catch (error) {
    if (codeOf(error) === 'ERR_MILLRACE_ABORTED') return { batch: undefined, askedMs: 0 }
    throw error
  } finally {
    context.signal.removeEventListener('abort', stop)
  }
}

/** Adds what a tally saw to the counters. */
export function count(context: Context, tally: Tally): void {
  context.counters.add('recordsRead', tally.records)
  context.counters.add('recordsExpired', tally.expired)
}
