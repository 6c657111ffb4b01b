/**
 * What streams tell of themselves: metrics by the names of CloudWatch, and advice on their load.
 *
 * The native module hands them over as JSON of these shapes, but for the shards, which have numbers there. Nothing here
 * computes: rates, quantiles and advice are the engine's.
 */
import { formatShardId } from './batch.js'

/** What has passed one way. */
export interface Flow {
  /** Records. */
  readonly records: number
  /** Bytes of keys and data. */
  readonly bytes: number
  /** What a limit refused: records on their way in, calls on their way out. */
  readonly throttled: number
}

/** Totals, and rates a second. */
export interface Passed {
  /** Since the stream was opened. */
  readonly total: Flow
  /** A second, over the last whole second. */
  readonly second: Flow
  /** A second, over the last ten seconds. */
  readonly tenSeconds: Flow
  /** A second, over the last minute: six to seven whole tens of seconds. */
  readonly minute: Flow
}

/** How long calls took, in nanoseconds. Quantiles are those of the last one to two minutes. */
export interface Latencies {
  /** How many calls were measured since the stream was opened: one in sixteen. */
  readonly count: number
  /** All of these together. */
  readonly sumNs: number
  /** Half of them took no longer; at most an eighth too large, as the other two. */
  readonly p50Ns: number
  /** 90 in 100 took no longer. */
  readonly p90Ns: number
  /** 99 in 100 took no longer. */
  readonly p99Ns: number
  /** The longest. */
  readonly maxNs: number
}

/** Calls of one kind, since the stream was opened. */
export interface OperationMetrics {
  /** How many there were. */
  readonly calls: number
  /** How many of them ended with an error. */
  readonly failed: number
  /** Records that passed. */
  readonly records: number
  /** Bytes of keys and data that passed. */
  readonly bytes: number
  /** Records that did not pass, refused ones included. */
  readonly recordsFailed: number
  /** Records that a throughput limit refused. */
  readonly recordsThrottled: number
  /** How long the calls took, from the call into the engine to its return; the wait for a sync is not in it. */
  readonly latency: Latencies
}

/** Enhanced fan-out, since the stream was opened. */
export interface SubscriptionMetrics {
  /** Subscriptions that began. */
  readonly started: number
  /** Subscriptions that could not begin. */
  readonly failed: number
  /** Subscriptions that a rate limit refused. */
  readonly rateExceeded: number
  /** Events that were sent. */
  readonly events: number
  /** Events that could not be sent. */
  readonly eventsFailed: number
  /** Records in these events. */
  readonly eventRecords: number
  /** Bytes of keys and data in these events. */
  readonly eventBytes: number
  /** How far behind the newest record the last event was, in milliseconds. */
  readonly millisBehindLatest: number
}

/** What passes through a shard. */
export interface ShardMetrics {
  /** Its name. */
  readonly shardId: string
  /** Whether records can still be appended to it. */
  readonly open: boolean
  /** What was appended. */
  readonly incoming: Passed
  /** What was read. */
  readonly outgoing: Passed
  /** How old the records were that were read in the last minute, at most, in milliseconds; 0 where nothing was read. */
  readonly iteratorAgeMs: number
}

/** A heavy partition key, over the last minutes. */
export interface KeyMetrics {
  /** The key. */
  readonly key: string
  /** Its hash key. */
  readonly hashKey: string
  /** The shard that it belongs to now. */
  readonly shardId: string
  /** Its part of the stream's load, 0 to 1, at least. A record's load is its bytes, and 1,024 at least. */
  readonly share: number
  /** By how much its part can be larger, 0 to 1. */
  readonly shareError: number
  /** Its records a second, estimated. */
  readonly records: number
  /** Its bytes a second, estimated. */
  readonly bytes: number
}

/** What happens in a stream. */
export interface StreamMetrics {
  /** The stream's name. */
  readonly stream: string
  /** What was appended. */
  readonly incoming: Passed
  /** What was read. */
  readonly outgoing: Passed
  /** Appends of one record. */
  readonly putRecord: OperationMetrics
  /** Appends of several. */
  readonly putRecords: OperationMetrics
  /** Reads that found records. */
  readonly getRecords: OperationMetrics
  /** Enhanced fan-out. */
  readonly subscriptions: SubscriptionMetrics
  /** How long syncs of the log took. */
  readonly sync: Latencies
  /** How old the records were that were read in the last minute, at most, in milliseconds; 0 where nothing was read. */
  readonly iteratorAgeMs: number
  /** How many shards are open. */
  readonly openShards: number
  /** The shards in the order of their numbers; of another process's stream at most the 64 busiest. */
  readonly shards: readonly ShardMetrics[]
  /** The heaviest keys, the heaviest first; at most 20. */
  readonly keys: readonly KeyMetrics[]
}

/** What the process tells that has a store open. */
export interface Observation {
  /** Its number; absent where no process has the store open. */
  readonly pid?: number
  /** Since when it has. */
  readonly since?: Date
  /** When the figures were written: about once a second while something happens. Absent where nothing has happened yet. */
  readonly writtenAt?: Date
  /** Its streams in use. */
  readonly streams: readonly StreamMetrics[]
}

/** A shard that takes more than its part. */
export interface HotShard {
  /** Its name. */
  readonly shardId: string
  /** What comes in a second, over the last minute. */
  readonly rate: Flow
  /** Its part of the stream's load, 0 to 1. */
  readonly share: number
  /** How often its load is the mean of the open shards' loads. */
  readonly timesMean: number
  /** How many shards are open. */
  readonly shards: number
  /** How much of its limit it takes, 1 being all; `null` where there is no limit. */
  readonly ofLimit: number | null
}

/** A key and its part of a hot shard. */
export interface HotKey {
  /** The key. */
  readonly key: string
  /** Its hash key. */
  readonly hashKey: string
  /** Its part of the shard's load, 0 to 1, at least. */
  readonly shareOfShard: number
  /** Its part of the stream's load, 0 to 1, at least. */
  readonly shareOfStream: number
}

/** Split the hot shard. */
export interface SplitAdvice {
  /** What is to be done. */
  readonly kind: 'split'
  /** Why, with the figures, as a sentence. */
  readonly text: string
  /** The shard. */
  readonly hot: HotShard
  /** Where the second child begins: a decimal string for {@link Stream.splitShard}. */
  readonly startingHashKey: string
  /** The part of the load that falls to the first child, 0 to 1; `null` where too few keys were seen to say. */
  readonly lowerShare: number | null
  /** The shard's heaviest key, if it is worth a word. */
  readonly heaviest: HotKey | null
}

/** One key makes the shard hot, and no split helps: spread it over several keys. */
export interface SpreadKeyAdvice {
  /** What is to be done. */
  readonly kind: 'spreadKey'
  /** Why, with the figures, as a sentence. */
  readonly text: string
  /** The shard. */
  readonly hot: HotShard
  /** The key. */
  readonly key: HotKey
}

/** Two neighbours are cold: merge them. */
export interface MergeAdvice {
  /** What is to be done. */
  readonly kind: 'merge'
  /** Why, with the figures, as a sentence. */
  readonly text: string
  /** One of the shards. */
  readonly shardId: string
  /** The other. */
  readonly adjacentShardId: string
  /** What comes in to both in a second. */
  readonly rate: Flow
  /** Their part of the stream's load, 0 to 1. */
  readonly share: number
}

/** One thing to do about a stream's load. */
export type Advice = SplitAdvice | SpreadKeyAdvice | MergeAdvice

/** What the records of a log's last minute tell. */
export interface ReplayedMetrics {
  /** Rates and keys as if these records had just been appended; what is not in the log is 0. */
  readonly metrics: StreamMetrics
  /** What to do about their load. */
  readonly advice: readonly Advice[]
}

/** A place for a shard's number, as the engine has it. */
type Numbered<T> = Omit<T, 'shardId'> & { readonly shard: number }
type NativeMetrics = Omit<StreamMetrics, 'shards' | 'keys'> & {
  readonly shards: readonly Numbered<ShardMetrics>[]
  readonly keys: readonly Numbered<KeyMetrics>[]
}
interface NativeObservation {
  readonly pid: number | null
  readonly since: string | null
  readonly published: { readonly writtenMs: number; readonly streams: readonly NativeMetrics[] } | null
}

/** Metrics as callers see them. */
export function parseMetrics(json: string): StreamMetrics {
  return named(JSON.parse(json) as NativeMetrics)
}

/** Advice as callers see it. */
export function parseAdvice(json: string): Advice[] {
  return JSON.parse(json) as Advice[]
}

/** Metrics and advice from the log as callers see them. */
export function parseReplayed(json: string): ReplayedMetrics {
  const { metrics, advice } = JSON.parse(json) as { metrics: NativeMetrics; advice: Advice[] }
  return { metrics: named(metrics), advice }
}

/** An observation as callers see it. */
export function parseObservation(json: string): Observation {
  const { pid, since, published } = JSON.parse(json) as NativeObservation
  return {
    ...(pid === null ? {} : { pid }),
    ...(since === null ? {} : { since: new Date(since) }),
    ...(published === null ? {} : { writtenAt: new Date(published.writtenMs) }),
    streams: published === null ? [] : published.streams.map(named),
  }
}

function named(native: NativeMetrics): StreamMetrics {
  return { ...native, shards: native.shards.map(withName), keys: native.keys.map(withName) }
}

function withName<T extends { readonly shard: number }>({ shard, ...rest }: T): Omit<T, 'shard'> & { shardId: string } {
  return { shardId: formatShardId(shard), ...rest }
}
