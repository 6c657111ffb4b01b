/** The load of a stream by shard and key, as a chart, with the engine's advice in words. */
import type { Advice, KeyMetrics, ShardDescription, ShardMetrics, Stream, StreamMetrics } from '../index.js'
import { bar, bytes, plural, rate, table } from './format.js'

const BAR_CELLS = 24
const SHARDS_SHOWN = 16
const KEYS_SHOWN = 5
/** A key with less of the load than this is like any other. */
const HEAVY_SHARE = 0.01
/** A record's load is its bytes, but no less than this: as the engine weighs it. */
const RECORD_LOAD = 1_024

/** What was done to follow a piece of advice. */
export interface Applied {
  readonly kind: 'split' | 'merge'
  /** The shards that are closed now. */
  readonly parents: readonly string[]
  /** The shards that take their hash keys. */
  readonly children: readonly string[]
}

/** Splits and merges as advised. A key that should be spread is for its producers to spread. */
export async function applyAdvice(stream: Stream, advice: readonly Advice[]): Promise<Applied[]> {
  const applied: Applied[] = []
  for (const one of advice) {
    if (one.kind === 'split') {
      const { shardId } = one.hot
      const children = await stream.splitShard(shardId, { at: one.startingHashKey })
      applied.push({ kind: 'split', parents: [shardId], children: children.map(named) })
    } else if (one.kind === 'merge') {
      const { shardId, adjacentShardId } = one
      const child = await stream.mergeShards(shardId, adjacentShardId)
      applied.push({ kind: 'merge', parents: [shardId, adjacentShardId], children: [named(child)] })
    }
  }
  return applied
}

function named({ shardId }: ShardDescription): string {
  return shardId
}

/** The shards of a stream by their load of the last minute, the heavy keys, what to do, and what was done. */
export function hotReport(metrics: StreamMetrics, advice: readonly Advice[], applied: readonly Applied[] = []): string {
  const parts = [shardLoads(metrics.shards)]
  const keys = heavyKeys(metrics).slice(0, KEYS_SHOWN)
  if (keys.length > 0) parts.push(keyLoads(keys))
  const said = advice.map(({ text }, index) => `${index + 1}. ${text}.`)
  parts.push(said.length === 0 ? 'No shard is hot: there is nothing to do.' : said.join('\n'))
  const done = applied.map(
    ({ kind, parents, children }) => `${kind}: ${parents.join(' and ')} became ${children.join(' and ')}`,
  )
  if (done.length > 0) parts.push(done.join('\n'))
  return parts.join('\n\n')
}

/** A bar chart of what comes in to each open shard, the busiest where there are many. */
export function shardLoads(shards: readonly ShardMetrics[]): string {
  const open = shards.filter((shard) => shard.open)
  const busiest = new Set([...open].sort((left, right) => load(right) - load(left)).slice(0, SHARDS_SHOWN))
  const shown = open.filter((shard) => busiest.has(shard))
  const most = Math.max(1, ...shown.map(load))
  const all = Math.max(
    1,
    open.reduce((sum, shard) => sum + load(shard), 0),
  )
  const rows = shown.map((shard) => {
    const { records, bytes: volume } = shard.incoming.minute
    const share = `${((load(shard) / all) * 100).toFixed(1)} %`
    return [shard.shardId, rate(records, 1_000), `${bytes(volume)}/s`, share, bar(load(shard) / most, BAR_CELLS)]
  })
  const chart = table(['SHARD', 'RECORDS', 'BYTES', 'OF LOAD', ''], rows, ['left', 'right', 'right', 'right', 'left'])
  const hidden = open.length - shown.length
  return hidden === 0 ? chart : `${chart}\n… and ${plural(hidden, 'shard')} with less`
}

/** The keys that stand out. */
export function heavyKeys({ keys }: StreamMetrics): readonly KeyMetrics[] {
  return keys.filter(({ share }) => share >= HEAVY_SHARE)
}

function keyLoads(keys: readonly KeyMetrics[]): string {
  const most = Math.max(...keys.map(({ share }) => share))
  const rows = keys.map(({ key, shardId, share, records }) => [
    JSON.stringify(key),
    shardId,
    rate(records, 1_000),
    `${(share * 100).toFixed(1)} %`,
    bar(share / most, BAR_CELLS),
  ])
  return table(['KEY', 'SHARD', 'RECORDS', 'OF LOAD', ''], rows, ['left', 'left', 'right', 'right', 'left'])
}

function load({ incoming }: ShardMetrics): number {
  return Math.max(incoming.minute.bytes, incoming.minute.records * RECORD_LOAD)
}
