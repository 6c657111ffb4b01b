/**
 * The small change: an empty call into native code, a look at a shared word, and what a poll at the tail costs beside
 * it.
 */
import { Bench as TinyBench } from 'tinybench'
import { type Bench, openFresh } from '../bench.js'
import type { Contest, OpenContest, Side } from '../rows.js'

/** Calls in one timed task: a single one takes less than the clock resolves. */
const CALLS_PER_TASK = 10_000

/** The contest of single calls. */
export function boundaryContests(bench: Bench): Contest[] {
  return [{ name: 'calls', rounds: bench.quick ? 3 : 5, open: () => calls(bench) }]
}

async function calls(bench: Bench): Promise<OpenContest> {
  const { millrace, remove } = await openFresh(bench, 'calls')
  const stream = await millrace.createStream('calls', { durability: 'os' })
  await stream.put({ partitionKey: 'user', data: new Uint8Array(100) })
  const reader = stream.read({ from: 'LATEST', mode: 'polled' })
  const word = new Int32Array(new bench.limits.StampPage().buffer(), 0, 1)
  const sides = [
    callSide(bench, 'empty napi-rs call', () => bench.limits.emptyCall()),
    callSide(bench, 'Atomics.load of a shared word', () => Atomics.load(word, 0)),
    callSide(bench, 'poll at the tail', () => reader.poll(), 'Atomics.load of a shared word'),
  ]
  const close = async () => {
    reader.close()
    await remove()
  }
  return { sides, close }
}

function callSide(bench: Bench, name: string, call: () => unknown, against?: string): Side {
  const measure = async () => {
    const tiny = new TinyBench({ time: bench.quick ? 50 : 300, warmupTime: 20 })
    tiny.add(name, () => {
      for (let i = 0; i < CALLS_PER_TASK; i++) call()
    })
    const [task] = await tiny.run()
    if (task?.result.state === 'errored') throw task.result.error
    if (task?.result.state !== 'completed') throw new Error(`${name} did not complete: ${task?.result.state}`)
    return (task.result.latency.p50 / CALLS_PER_TASK) * 1e6
  }
  return { name, unit: 'ns', measure, against }
}
