/** Streams that come and go, and readers that are open when theirs goes. */
import type { Millrace, Reader, Stream } from 'millrace'
import { STEER, isGone, pause, tallyFor, type Context } from '../context.js'
import { PASSING_FROM, passingName, streamOf } from '../plan.js'
import type { Random } from '../random.js'
import { Breach } from '../tally.js'
import { count, deliveryOf } from './follow.js'
import { Held } from './hold.js'
import { open, LIMITS, writeTo } from './produce.js'

/** So long may a reader wait on, in milliseconds, after its stream has left the list: a busy event loop's time. */
const TOLD_WITHIN_MS = 5_000

/** Creates a stream, writes to it while it is read, deletes it, and sees that the reader is told. */
export async function churn(context: Context): Promise<void> {
  const { random, counters, steer } = context
  while (!context.signal.aborted) {
    const id = PASSING_FROM + Atomics.add(steer, STEER.nextStream, 1)
    const name = passingName(id)
    const stream = await context.millrace.createStream(name, { ...LIMITS, ...shapeOf(random), retention: 24 })
    counters.add('streamsCreated')
    const following = followToTheEnd(context, stream, id)
    // Whoever fails first is reported; the other one's end must not go unheard meanwhile.
    following.catch(() => {})
    await writeTo(context, stream, id, random.whole(1, 12))
    if (context.signal.aborted) return following
    const deleting = context.millrace.deleteStream(name).then(
      () => counters.add('streamsDeleted'),
      // Another thread sweeps what seems left over.
      (error) => void (isGone(error) || raise(error)),
    )
    if (random.chance(50)) await writeTo(context, stream, id, 3)
    await Promise.all([deleting, following])
    if (context.millrace.listStreams().some((listed) => listed.name === name && listed.status === 'active')) {
      throw new Breach(`${name} is still listed after its deletion`)
    }
    await pause(context, random.whole(10, 400))
  }
}

/** Uses the streams of others until they are deleted by these. */
export async function trespass(context: Context): Promise<void> {
  const { random, millrace } = context
  while (!context.signal.aborted) {
    const passing = millrace.listStreams().filter(({ name }) => (streamOf(name) ?? 0) >= PASSING_FROM)
    await pause(context, random.whole(1, 100))
    if (passing.length === 0 || context.signal.aborted) continue
    const { name } = random.pick(passing)
    const id = streamOf(name) as number
    try {
      const stream = await open(millrace, name)
      const following = followToTheEnd(context, stream, id)
      following.catch(() => {})
      if (random.chance(50)) await writeTo(context, stream, id, random.whole(1, 5))
      await following
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

/** Deletes streams that outlived their thread. */
export async function sweep(millrace: Millrace, context: Context, known: Map<string, number>): Promise<void> {
  const now = context.ledger.now()
  for (const { name } of millrace.listStreams()) {
    if ((streamOf(name) ?? 0) < PASSING_FROM) continue
    const since = known.get(name) ?? now
    known.set(name, since)
    if (now - since < context.pace.retentionMs / 2) continue
    known.delete(name)
    try {
      await millrace.deleteStream(name)
      context.counters.add('streamsDeleted')
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

/** Follows a stream until its deletion is told; a batch that is held on to stays as it is. */
async function followToTheEnd(context: Context, stream: Stream, id: number): Promise<void> {
  const tally = tallyFor(context, id, true)
  const reader = stream.read({ ...deliveryOf(context.random), from: 'TRIM_HORIZON' })
  const stop = (): void => reader.close()
  context.signal.addEventListener('abort', stop, { once: true })
  if (context.signal.aborted) stop()
  const guard = guardOf(context, stream.name, reader)
  let held: Held | undefined
  try {
    for (;;) {
      const askedMs = context.ledger.now()
      const { done, value } = await Promise.race([reader.next(), guard.late])
      if (done === true) return
      tally.take(value, askedMs)
      held ??= new Held(stream.name, value)
    }
  } catch (error) {
    if (!isGone(error)) throw error
    context.counters.add('readersToldOfDeletion')
  } finally {
    guard.end()
    reader.close()
    context.signal.removeEventListener('abort', stop)
    held?.check()
    count(context, tally)
  }
}

/** Rejects when the stream has been gone from the list for long while its reader was waiting. */
function guardOf(context: Context, name: string, reader: Reader): { late: Promise<never>; end: () => void } {
  let goneSince: number | undefined
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (context.signal.aborted || reader.ended) return
      const gone = !context.millrace.listStreams().some((listed) => listed.name === name)
      goneSince = gone ? (goneSince ?? context.ledger.now()) : undefined
      if (goneSince !== undefined && context.ledger.now() - goneSince > TOLD_WITHIN_MS) {
        reject(new Breach(`a reader of ${name} was not told of the deletion for ${TOLD_WITHIN_MS} ms`))
      }
    }, 250)
  })
  late.catch(() => {})
  return { late, end: () => clearInterval(timer) }
}

function shapeOf(random: Random) {
  const durability = random.pick(['synced', 'os', { interval: 60_000 }] as const)
  return { durability, shards: random.pick([1, 1, 3, 16]) }
}

function raise(error: unknown): never {
  throw error
}
