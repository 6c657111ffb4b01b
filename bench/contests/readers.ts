/**
 * One shard and many readers in another worker thread, while a writer appends 100,000 records a second: what each
 * reader costs, what the writer notices, and how fast a reader that fell behind catches up.
 */
import type { Stream } from 'millrace'
import { type Bench, openFresh } from '../bench.js'
import { Crowd } from '../crowd.js'
import { type Contest, type OpenContest, percentile, ratioAtMost, type Side } from '../rows.js'

const RECORD_BYTES = 100

/** A hundred records a millisecond. */
const BATCH_RECORDS = 100
const INTERVAL_MS = 1

/** Readers of one shard, beside none. */
const READERS = [1, 2, 10, 50]
const READERS_MAX = 50

/** One contest of readers that keep up, and one of a reader that does not. */
export function readerContests(bench: Bench): Contest[] {
  return [
    { name: 'readers that keep up', rounds: bench.quick ? 3 : 7, open: () => openReaders(bench) },
    { name: 'readers that fall behind', rounds: bench.quick ? 3 : 7, open: () => openSlowReader(bench) },
  ]
}

async function openReaders(bench: Bench): Promise<OpenContest> {
  const { stream, crowd, close } = await openCrowd(bench)
  const batches = bench.quick ? 400 : 2000
  let latest: number[] = []
  /** Microseconds that the readers' thread was busy for a batch, by their number, in this round. */
  const busyUs = new Map<number, number>()
  const write = async (readers: number): Promise<number> => {
    const { done } = await crowd.follow(readers, batches * BATCH_RECORDS)
    latest = writePaced(bench, stream, batches)
    busyUs.set(readers, ((await done) * 1000) / batches)
    return percentile(latest, 0.99)
  }
  const writeToConsumers = async (): Promise<number> => {
    const { done } = await crowd.follow(READERS_MAX, batches * BATCH_RECORDS, 'consumer')
    latest = writePaced(bench, stream, batches)
    await done
    return percentile(latest, 0.99)
  }
  await write(READERS_MAX)
  const side = (readers: number): Side[] => {
    const name = (rank: string) => `publish of 100 records, ${rank}, ${readers} reader${readers === 1 ? '' : 's'}`
    const point = (rank: string) => ({ chart: 'readers', series: `publish, ${rank}`, x: readers })
    const alone = (rank: string) => (readers === 0 ? undefined : `publish of 100 records, ${rank}, 0 readers`)
    const target = readers === READERS_MAX ? ratioAtMost(1.1) : undefined
    const median = () => percentile(latest, 0.5)
    return [
      {
        name: name('p99'),
        unit: 'µs',
        measure: () => write(readers),
        against: alone('p99'),
        target,
        point: point('p99'),
      },
      { name: name('p50'), unit: 'µs', measure: median, against: alone('p50'), point: point('p50') },
    ]
  }
  const consumers: Side = {
    name: `publish of 100 records, p99, ${READERS_MAX} registered consumers`,
    unit: 'µs',
    measure: writeToConsumers,
    against: 'publish of 100 records, p99, 0 readers',
    target: ratioAtMost(1.1),
  }
  return { sides: [...[0, ...READERS].flatMap(side), consumers, ...costs(busyUs)], close }
}

/** What the readers' thread does more for each reader that joins, a batch of 100 records. */
function costs(busyUs: ReadonlyMap<number, number>): Side[] {
  const first = 'readers’ thread, the 1st reader, a batch'
  return READERS.map((readers, index) => {
    const before = READERS[index - 1] ?? 0
    const measure = () => ((busyUs.get(readers) ?? Number.NaN) - (busyUs.get(before) ?? 0)) / (readers - before)
    if (index === 0) return { name: first, unit: 'µs', measure }
    const name = `readers’ thread, the ${readers}${readers === 2 ? 'nd' : 'th'} reader, a batch`
    return { name, unit: 'µs', measure, against: first }
  })
}

/** The reader stands still while a backlog grows, and then reads it from the log while the writer goes on. */
async function openSlowReader(bench: Bench): Promise<OpenContest> {
  const { stream, crowd, close } = await openCrowd(bench)
  const backlog = bench.quick ? 500_000 : 5_000_000
  const batches = bench.quick ? 400 : 2000
  const alone = 'publish of 100 records, p99, no slow reader'
  const reread = 'the same records, without a writer'
  let caughtUp = Number.NaN
  const fallBehind = async () => {
    await crowd.standStill()
    for (let written = 0; written < backlog; written += BATCH_RECORDS * 100) writeBatch(stream, BATCH_RECORDS * 100)
  }
  const writeMeanwhile = async () => {
    await fallBehind()
    const catching = crowd.catchUp()
    const took = writePaced(bench, stream, batches)
    caughtUp = await catching
    return percentile(took, 0.99)
  }
  const quietly = async () => {
    await fallBehind()
    return await crowd.catchUp()
  }
  await writeMeanwhile()
  const sides: Side[] = [
    { name: alone, unit: 'µs', measure: () => percentile(writePaced(bench, stream, batches), 0.99) },
    {
      name: 'publish of 100 records, p99, while a slow reader catches up',
      unit: 'µs',
      measure: writeMeanwhile,
      against: alone,
    },
    { name: reread, unit: 'records/s', measure: quietly },
    { name: 'a slow reader catches up', unit: 'records/s', measure: () => caughtUp, against: reread },
  ]
  return { sides, close }
}

async function openCrowd(bench: Bench) {
  const { millrace, remove } = await openFresh(bench, 'readers')
  const stream = await millrace.createStream('readers', { durability: 'os' })
  const crowd = await Crowd.start({ directory: bench.workspace.path('readers'), stream: 'readers' })
  const close = async () => {
    await crowd.stop()
    await remove()
  }
  return { stream, crowd, close }
}

const data = new Uint8Array(RECORD_BYTES)

function writeBatch(stream: Stream<Uint8Array>, records: number): void {
  for (let i = 0; i < records; i++) stream.append({ partitionKey: 'user', data })
  stream.flushSync()
}

/** Microseconds of each publish call; the writer is busy in between, as a server under load is. */
function writePaced({ limits }: Bench, stream: Stream<Uint8Array>, batches: number): number[] {
  let next = limits.nowNs()
  return Array.from({ length: batches }, () => {
    next += INTERVAL_MS * 1e6
    while (limits.nowNs() < next);
    const started = limits.nowNs()
    writeBatch(stream, BATCH_RECORDS)
    return (limits.nowNs() - started) / 1000
  })
}
