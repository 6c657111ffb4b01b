/** A thread of a soak: opens the store, does all its activities at once, and closes the store when it is told to. */
import { setMaxListeners } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import type * as api from 'millrace'
import { ACTIVITIES } from './activities.js'
import { Counters, isGone, openOptions, type Context, type ThreadData, type ThreadMessage } from './context.js'
import { Ledger } from './ledger.js'
import { Payloads } from './payload.js'
import { Random } from './random.js'
import { Breach } from './tally.js'

/** An activity that is at work so long after it was told to stop is named, in milliseconds. */
const TOLD_AFTER_MS = 15_000

/** Runs activities until one of them fails, or `stop` is aborted; then ends them all. Rejects with the first failure. */
export async function perform(
  data: ThreadData,
  store: typeof api.Millrace,
  stop: AbortSignal,
  late: (names: string[]) => void,
) {
  const millrace = await store.open(data.directory, openOptions(data.pace))
  const own = new AbortController()
  const { signal } = own
  // Each activity that waits listens.
  setMaxListeners(0, signal)
  stop.addEventListener('abort', () => own.abort(), { once: true })
  if (stop.aborted) own.abort()
  const shared = {
    millrace,
    signal,
    directory: data.directory,
    ledger: new Ledger(data.ledger),
    payloads: new Payloads(data.seed),
    counters: new Counters(data.counters),
    pace: data.pace,
    steer: new Int32Array(data.steer),
    plant: data.plant,
    verify: (directory: string) => store.verify(directory),
  }
  const atWork = new Set<string>()
  own.signal.addEventListener('abort', () => {
    // Without the names nobody could say what hangs. Should all end in time, so does this.
    setTimeout(() => late([...atWork]), TOLD_AFTER_MS).unref()
  })
  const running = data.activities.map(async (activity, index) => {
    const name = `${activity}/${index}`
    atWork.add(name)
    const random = new Random(data.seed, `${data.name}/${name}`)
    const context: Context = { ...shared, random }
    await (ACTIVITIES[activity] as (context: Context) => Promise<void>)(context)
    atWork.delete(name)
  })
  const outcomes = await Promise.allSettled(
    running.map((activity) => activity.catch((error: unknown) => (own.abort(), Promise.reject(error)))),
  )
  // What was appended to a stream that another thread deleted is told at the close, as documented.
  await millrace.close().catch((error: unknown) => void (isGone(error) || Promise.reject(error)))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

if (parentPort !== null) {
  const port = parentPort
  const data = workerData as ThreadData
  const say = (message: ThreadMessage): void => port.postMessage(message)
  const stop = new AbortController()
  port.once('message', () => stop.abort())
  try {
    const { Millrace } = (await import(data.entry)) as typeof api
    say({ kind: 'loaded' })
    await perform(data, Millrace, stop.signal, (names) =>
      say({ kind: 'breach', text: `${data.name}: still at ${names.join(', ')}` }),
    )
    say({ kind: 'ended' })
  } catch (error) {
    const text = error instanceof Breach ? error.message : error instanceof Error ? String(error.stack) : String(error)
    say({ kind: 'breach', text: `${data.name}: ${text}` })
  }
  // What keeps the thread alive from now on is a leak.
  port.close()
}
