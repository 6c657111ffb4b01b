/**
 * One record at a time under `synced`, beside the least that durability can cost: a bare append of the same bytes with
 * its fdatasync, into a file whose blocks are written already, as the engine's segments are.
 */
import type { Stream } from 'millrace'
import { type Bench, openFresh } from '../bench.js'
import { type Latencies, percentileSides } from '../percentiles.js'
import { type Contest, ratioAtMost, type Target } from '../rows.js'

/** A record of 100 B with a key of six: header 64, one run 32, record header 8, key and data, in steps of 64. */
export const FRAME_BYTES = 256
const DATA_BYTES = 100

/** The contest of single records. */
export function putContests(bench: Bench): Contest[] {
  // Many short rounds: the disk's mood lasts for seconds, and a round's sides should meet the same one.
  return [{ name: 'put', rounds: bench.quick ? 4 : 15, open: () => openPut(bench) }]
}

async function openPut(bench: Bench) {
  const records = bench.quick ? 50 : 200
  const { millrace, remove } = await openFresh(bench, 'put')
  const stream = await millrace.createStream('put', { shards: 4 })
  const limit = 'bare append + fdatasync of a frame of 100 B'
  const engine = (name: string, target: Target, run: Latencies['run']) => {
    return percentileSides({ name, series: 'Millrace', chart: 'put', x: name, against: limit, target, run })
  }
  const sides = [
    ...percentileSides({ name: limit, series: 'limit', chart: 'put', x: limit, run: bareAppends(bench, records) }),
    ...engine('append and flushSync of 100 B, synced', ratioAtMost(1.3), () => flushes(bench, stream, records)),
    ...engine('one awaited put of 100 B, synced', ratioAtMost(1.6), () => puts(bench, stream, records)),
  ]
  return { sides, close: remove }
}

/** The frames of all rounds, one behind the other in one file of zeros that is on disk. */
function bareAppends(bench: Bench, records: number): (round: number) => number[] {
  const file = bench.workspace.path('put.limit')
  const roundBytes = records * FRAME_BYTES
  bench.limits.prepareFile(file, 'rewritten', roundBytes * (bench.quick ? 4 : 15))
  return (round) => {
    return [...bench.limits.syncedWrites(file, round * roundBytes, FRAME_BYTES, records)].map((ns) => ns / 1000)
  }
}

function flushes({ limits }: Bench, stream: Stream<Uint8Array>, records: number): number[] {
  const data = new Uint8Array(DATA_BYTES)
  return Array.from({ length: records }, (_, i) => {
    const started = limits.nowNs()
    stream.append({ partitionKey: `user-${i % 10}`, data })
    stream.flushSync()
    return (limits.nowNs() - started) / 1000
  })
}

async function puts({ limits }: Bench, stream: Stream<Uint8Array>, records: number): Promise<number[]> {
  const data = new Uint8Array(DATA_BYTES)
  const took: number[] = []
  for (let i = 0; i < records; i++) {
    const started = limits.nowNs()
    await stream.put({ partitionKey: `user-${i % 10}`, data })
    took.push((limits.nowNs() - started) / 1000)
  }
  return took
}
