/**
 * Replay into JavaScript of what was stored, checksums verified, beside the same loops over records that lie in
 * memory.
 *
 * Every measurement opens the store anew, because a segment that is mapped and verified already would be read for
 * free. The files are in the page cache.
 */
import { type Batch, Millrace } from 'millrace'
import { Appender } from '../appender.js'
import { type Bench, makeSharedKeys } from '../bench.js'
import { atLeast, type Contest, type OpenContest, type Side, type Target } from '../rows.js'

const RECORD_BYTES = 100
const SHARDS = 16
const STREAM = 'replay'
/** Bytes before the key of a record in the buffer of the limits: two lengths, as in a staged record. */
const HEADER_BYTES = 8

/** The contest of replays. */
export function replayContests(bench: Bench): Contest[] {
  return [{ name: 'replay', rounds: bench.quick ? 3 : 5, open: () => openReplay(bench) }]
}

async function openReplay(bench: Bench): Promise<OpenContest> {
  const directory = bench.workspace.path('replay')
  const records = bench.quick ? 1_000_000 : 10_000_000
  await fill(directory, records)
  const packed = packRecords(Math.min(records, 2_000_000))
  const walkLimit = 'walk over 100 B records in memory'
  const viewLimit = 'Uint8Array of 100 B records in memory'
  const keyLimit = 'Uint8Array and key string of 100 B records in memory'
  const replays = (name: string, against: string, target: Target | undefined, visit: Visit, shard?: string): Side => {
    const measure = () => replayRate(directory, visit, shard)
    return { name, unit: 'records/s', measure, against, target }
  }
  const sides: Side[] = [
    { name: walkLimit, unit: 'records/s', measure: () => rate(() => walkPacked(packed)) },
    { name: viewLimit, unit: 'records/s', measure: () => rate(() => viewPacked(packed)) },
    { name: keyLimit, unit: 'records/s', measure: () => rate(() => viewPackedWithKeys(packed)) },
    replays('replay 100 B, flyweight', walkLimit, atLeast(50e6), visitFlyweights),
    replays('replay 100 B, Uint8Array', viewLimit, atLeast(20e6), visitViews),
    replays('replay 100 B, Uint8Array and key string', keyLimit, undefined, visitViewsAndKeys),
    replays('replay 100 B, a StreamRecord each', keyLimit, undefined, visitRecords),
    replays('replay 100 B, one shard of 16', walkLimit, undefined, visitFlyweights, 'shardId-000000000007'),
  ]
  // Once without counting, so that the compiler has seen every loop.
  for (const side of sides) await side.measure(0)
  return { sides, close: async () => bench.workspace.discard('replay') }
}

async function fill(directory: string, records: number): Promise<void> {
  const millrace = await Millrace.open(directory)
  const stream = await millrace.createStream(STREAM, { shards: SHARDS, durability: 'os' })
  await new Appender(RECORD_BYTES).appendRecords(stream, records)
  await millrace.close()
}

/** The quickest way to a short string, which the types of Node leave out. */
type Latin1Buffer = Buffer & { latin1Slice(start: number, end: number): string }

/** What a loop over a batch does; the sum keeps the compiler from leaving it out. */
type Visit = (batch: Batch<Uint8Array>) => number

async function replayRate(directory: string, visit: Visit, shard: string | undefined): Promise<number> {
  const millrace = await Millrace.open(directory)
  const stream = await millrace.stream(STREAM)
  const started = performance.now()
  let records = 0
  let bytes = 0
  for await (const batch of stream.read({ from: 'TRIM_HORIZON', follow: false, ...(shard && { shard }) })) {
    bytes += visit(batch)
    records += batch.length
  }
  const seconds = (performance.now() - started) / 1000
  await millrace.close()
  if (bytes < records * RECORD_BYTES) throw new Error(`expected ${RECORD_BYTES} bytes a record, got ${bytes / records}`)
  return records / seconds
}

function visitFlyweights(batch: Batch<Uint8Array>): number {
  let bytes = 0
  for (let i = 0; i < batch.length; i++) bytes += batch.dataLength(i)
  return bytes
}

function visitViews(batch: Batch<Uint8Array>): number {
  let bytes = 0
  for (let i = 0; i < batch.length; i++) bytes += batch.data(i).length
  return bytes
}

function visitViewsAndKeys(batch: Batch<Uint8Array>): number {
  let bytes = 0
  for (let i = 0; i < batch.length; i++) bytes += batch.data(i).length + batch.partitionKey(i).length
  return bytes
}

function visitRecords(batch: Batch<Uint8Array>): number {
  let bytes = 0
  for (const record of batch) bytes += record.data.length + record.partitionKey.length
  return bytes
}

/** Records one after the other in one buffer: lengths, key, data. */
function packRecords(records: number): Latin1Buffer {
  const keys = makeSharedKeys()
  const keyBytes = keys[0]!.length
  const stride = HEADER_BYTES + keyBytes + RECORD_BYTES
  const packed = Buffer.alloc(records * stride, 1) as Latin1Buffer
  for (let i = 0; i < records; i++) {
    packed.writeUInt32LE(RECORD_BYTES, i * stride)
    packed.writeUInt32LE(keyBytes, i * stride + 4)
    packed.write(keys[i % keys.length]!, i * stride + HEADER_BYTES, 'latin1')
  }
  return packed
}

function walkPacked(packed: Buffer): number {
  const view = new DataView(packed.buffer, packed.byteOffset)
  let records = 0
  let bytes = 0
  for (let at = 0; at < packed.length; records++) {
    const dataBytes = view.getUint32(at, true)
    bytes += dataBytes
    at += HEADER_BYTES + view.getUint32(at + 4, true) + dataBytes
  }
  return bytes > 0 ? records : 0
}

function viewPacked(packed: Buffer): number {
  const view = new DataView(packed.buffer, packed.byteOffset)
  let records = 0
  let bytes = 0
  for (let at = 0; at < packed.length; records++) {
    const dataAt = at + HEADER_BYTES + view.getUint32(at + 4, true)
    const data = new Uint8Array(packed.buffer, packed.byteOffset + dataAt, view.getUint32(at, true))
    bytes += data.length
    at = dataAt + data.length
  }
  return bytes > 0 ? records : 0
}

function viewPackedWithKeys(packed: Latin1Buffer): number {
  const view = new DataView(packed.buffer, packed.byteOffset)
  let records = 0
  let bytes = 0
  for (let at = 0; at < packed.length; records++) {
    const keyAt = at + HEADER_BYTES
    const dataAt = keyAt + view.getUint32(at + 4, true)
    const data = new Uint8Array(packed.buffer, packed.byteOffset + dataAt, view.getUint32(at, true))
    bytes += data.length + packed.latin1Slice(keyAt, dataAt).length
    at = dataAt + data.length
  }
  return bytes > 0 ? records : 0
}

function rate(walk: () => number): number {
  const started = performance.now()
  return (walk() / (performance.now() - started)) * 1000
}
