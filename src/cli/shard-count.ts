/** Counts what stands in each shard by reading it, and draws the counts. */
import type { Batch, ShardDescription, Stream } from '../index.js'
import { bar, bytes, count, table } from './format.js'

/** Records and bytes of one shard. */
export interface ShardCount {
  readonly shardId: string
  readonly records: number
  /** Bytes of data, keys not included. */
  readonly bytes: number
}

const BAR_CELLS = 24

/** Reads every record of `stream` up to its end; `progress` hears of each batch. */
export async function countShards(
  stream: Stream,
  signal: AbortSignal,
  progress: (batch: Batch) => void,
): Promise<ShardCount[]> {
  const totals: ShardCount[] = []
  for (const { shardId } of stream.describe().shardList) {
    let records = 0
    let dataBytes = 0
    for await (const batch of stream.read({ from: 'TRIM_HORIZON', shard: shardId, follow: false, signal })) {
      records += batch.length
      for (let i = 0; i < batch.length; i += 1) dataBytes += batch.dataLength(i)
      progress(batch)
    }
    totals.push({ shardId, records, bytes: dataBytes })
  }
  return totals
}

/** A bar chart of counts, one line a shard, with each shard's part of the hash key space. */
export function shardChart(shards: readonly ShardDescription[], counts: readonly ShardCount[]): string {
  const most = Math.max(1, ...counts.map((shard) => shard.records))
  const rows = counts.map((shard) => {
    const range = shards.find(({ shardId }) => shardId === shard.shardId)?.hashKeyRange
    const share = range === undefined ? 0 : hashShare(range.startingHashKey, range.endingHashKey)
    return [
      shard.shardId,
      `${(share * 100).toFixed(1)} %`,
      count(shard.records),
      bytes(shard.bytes),
      bar(shard.records / most, BAR_CELLS),
    ]
  })
  return table(['SHARD', 'OF HASH KEYS', 'RECORDS', 'DATA', ''], rows, ['left', 'right', 'right', 'right', 'left'])
}

/** The part of the 128-bit hash key space between two keys, both included. */
function hashShare(starting: string, ending: string): number {
  // The upper 53 bits are enough for a percentage.
  const span = (BigInt(ending) - BigInt(starting) + 1n) >> 75n
  return Number(span) / 2 ** 53
}
