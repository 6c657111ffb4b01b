/**
 * What it costs that every stream counts what passes: appends and single puts to a store that counts, beside one that
 * does not, which is made for this and is offered to nobody.
 */
import { type Durability, Millrace, type OpenOptions, type Stream } from 'millrace'
import { Appender } from '../appender.js'
import { type Bench, settle } from '../bench.js'
import { type Contest, type OpenContest, percentile, ratioAtLeast, ratioAtMost, type Side } from '../rows.js'

const RECORD_BYTES = 100
const SHARDS = 4
const WARM_UP_MS = 100

/** Counting, beside none. */
export function meteringContests(bench: Bench): Contest[] {
  return [{ name: 'append 100 B counted', rounds: bench.quick ? 5 : 11, open: () => openMetering(bench) }]
}

async function openMetering(bench: Bench): Promise<OpenContest> {
  const counting = await openStore(bench, true)
  const uncounting = await openStore(bench, false)
  const sides = [...uncounting.sides('not counted'), ...counting.sides('counted', 'not counted')]
  const close = async () => {
    await counting.close()
    await uncounting.close()
  }
  return { sides, close }
}

async function openStore(bench: Bench, meters: boolean) {
  const name = `metering-${meters ? 'on' : 'off'}`
  // The option stands in no declaration.
  const millrace = await Millrace.open(bench.workspace.path(name), { testing: { meters } } as OpenOptions)
  const durability: Durability = 'os'
  const stream = await millrace.createStream('metering', { shards: SHARDS, durability })
  const appender = new Appender(RECORD_BYTES)
  await appender.appendFor(stream, WARM_UP_MS)
  await puts(bench, stream)
  const sides = (label: string, against?: string): Side[] => {
    const side = (what: string) => ({
      name: `${what}, ${label}`,
      against: against === undefined ? undefined : `${what}, ${against}`,
    })
    const append = async () => {
      settle(bench)
      return await appender.appendFor(stream, bench.quick ? 200 : 500)
    }
    return [
      {
        ...side('append of 100 B, os'),
        unit: 'records/s',
        measure: append,
        target: against === undefined ? undefined : ratioAtLeast(0.95),
      },
      {
        ...side('one awaited put of 100 B, os, p50'),
        unit: 'µs',
        measure: async () => percentile(await puts(bench, stream), 0.5),
        target: against === undefined ? undefined : ratioAtMost(1.05),
      },
    ]
  }
  const close = async () => {
    await millrace.close()
    bench.workspace.discard(name)
  }
  return { sides, close }
}

/** Microseconds of each put. */
async function puts({ limits, quick }: Bench, stream: Stream<Uint8Array>): Promise<number[]> {
  const data = new Uint8Array(RECORD_BYTES)
  const took: number[] = []
  for (let i = 0; i < (quick ? 5_000 : 20_000); i++) {
    const started = limits.nowNs()
    await stream.put({ partitionKey: `user-${i % 1000}`, data })
    took.push((limits.nowNs() - started) / 1000)
  }
  return took
}
