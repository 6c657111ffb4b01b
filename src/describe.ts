/**
 * Between the native module's plain objects and the public ones: names of shards, durations, descriptions.
 */
import type { NativeShard, NativeShardFilter, NativeStreamDescription, NativeStreamSummary } from './binding.js'
import { formatShardId } from './batch.js'
import { describeHours } from './duration.js'
import { MillraceError, invalidArgument } from './errors.js'
import { describeLimits, describeTags } from './settings.js'
import type {
  Durability,
  ShardDescription,
  ShardFilter,
  StartAt,
  StreamDescription,
  StreamSummary,
  WarmThroughput,
} from './options.js'

/** The position in a native request: exactly one of its fields, or none for the latest. */
interface NativeStart {
  readonly kind: 'horizon' | 'latest' | 'at' | 'after' | 'timestamp'
  readonly sequence?: string
  readonly timestamp?: number
}

/** A start position as the native module takes it. */
export function nativeStart(from: StartAt): NativeStart {
  if (from === 'TRIM_HORIZON') return { kind: 'horizon' }
  if (from === 'LATEST') return { kind: 'latest' }
  if (typeof from === 'object' && from !== null) {
    if ('at' in from) return { kind: 'at', sequence: String(from.at) }
    if ('after' in from) return { kind: 'after', sequence: String(from.after) }
    if ('timestamp' in from) return { kind: 'timestamp', timestamp: milliseconds(from.timestamp) }
  }
  throw invalidArgument(
    `from: expected 'TRIM_HORIZON', 'LATEST', { at }, { after } or { timestamp }, got ${JSON.stringify(from)}`,
  )
}

/** The number in `'shardId-000000000002'`. */
export function shardNumber(shardId: string): number {
  const match = /^shardId-(\d{1,12})$/.exec(shardId)
  const number = match === null ? Number.NaN : Number(match[1])
  if (number <= 0xffff_ffff) return number
  throw new MillraceError(
    'ERR_MILLRACE_SHARD_NOT_FOUND',
    `expected a shard such as 'shardId-000000000000', got '${shardId}'`,
  )
}

/** A durability as the native module takes it: a word, and milliseconds for `interval`. */
export function nativeDurability(durability: Durability): { durability: string; intervalMs: number } {
  if (durability === 'synced' || durability === 'os') return { durability, intervalMs: 0 }
  const interval = typeof durability === 'object' && durability !== null ? durability.interval : Number.NaN
  if (Number.isInteger(interval) && interval >= 1 && interval <= 60_000) {
    return { durability: 'interval', intervalMs: interval }
  }
  throw invalidArgument(
    `durability: expected 'synced', 'os' or { interval: 1 to 60000 ms }, got ${JSON.stringify(durability)}`,
  )
}

/** A summary as callers see it. */
export function describeSummary(native: NativeStreamSummary): StreamSummary {
  return {
    name: native.name,
    status: native.deleting ? 'deleting' : 'active',
    shards: native.shards,
    retentionHours: describeHours(native.retentionHours),
    durability: native.durability === 'interval' ? { interval: native.intervalMs } : namedDurability(native.durability),
    codec: native.codec ?? 'raw',
    createdAt: new Date(native.createdAtMs),
    limits: describeLimits(native.limits),
    mode: native.mode === 'on-demand' ? 'on-demand' : 'provisioned',
    tags: describeTags(native.tags),
  }
}

function describeWarm({ warmMibPerSecond, summary }: NativeStreamDescription): { warmThroughput?: WarmThroughput } {
  if (warmMibPerSecond === undefined) return {}
  return { warmThroughput: { targetMiBps: warmMibPerSecond, currentMiBps: summary.shards } }
}

/** A description as callers see it. */
export function describeStream(native: NativeStreamDescription): StreamDescription {
  return {
    ...describeSummary(native.summary),
    shardList: native.shardList.map(describeShard),
    maxRecordBytes: native.maxRecordBytes,
    bytes: native.bytes,
    segments: native.segments,
    sealedRecords: native.sealedRecords,
    oldestArrival: new Date(native.oldestMs),
    ...describeWarm(native),
  }
}

/** A shard as callers see it. */
export function describeShard(native: NativeShard): ShardDescription {
  const { startingHashKey, endingHashKey, startingSequenceNumber, endingSequenceNumber } = native
  return {
    shardId: formatShardId(native.shard),
    hashKeyRange: { startingHashKey, endingHashKey },
    status: endingSequenceNumber === undefined ? 'open' : 'closed',
    sequenceNumberRange: { startingSequenceNumber, endingSequenceNumber },
    parentShardId: native.parent === undefined ? undefined : formatShardId(native.parent),
    adjacentParentShardId: native.adjacentParent === undefined ? undefined : formatShardId(native.adjacentParent),
  }
}

/** A filter of shards as the native module takes it. */
export function nativeFilter(filter: ShardFilter): NativeShardFilter {
  if (filter === 'AT_TRIM_HORIZON' || filter === 'FROM_TRIM_HORIZON' || filter === 'AT_LATEST') return { kind: filter }
  if (typeof filter === 'object' && filter !== null) {
    if ('afterShardId' in filter) return { kind: 'AFTER_SHARD_ID', shard: shardNumber(filter.afterShardId) }
    if ('atTimestamp' in filter) return { kind: 'AT_TIMESTAMP', timestamp: milliseconds(filter.atTimestamp) }
    if ('fromTimestamp' in filter) return { kind: 'FROM_TIMESTAMP', timestamp: milliseconds(filter.fromTimestamp) }
  }
  throw invalidArgument(
    `filter: expected 'AT_TRIM_HORIZON', 'FROM_TRIM_HORIZON', 'AT_LATEST', { afterShardId }, { atTimestamp } or ` +
      `{ fromTimestamp }, got ${JSON.stringify(filter)}`,
  )
}

function namedDurability(word: string): 'synced' | 'os' {
  return word === 'os' ? 'os' : 'synced'
}

function milliseconds(timestamp: Date | number): number {
  const number = timestamp instanceof Date ? timestamp.getTime() : timestamp
  if (Number.isFinite(number) && number >= 0) return Math.floor(number)
  throw invalidArgument(`timestamp: expected a Date or milliseconds since the epoch, got ${timestamp}`)
}
