/**
 * What callers pass in and what descriptions come out: readonly objects only, no behaviour.
 *
 * Each option tells its unit and its default. Nothing here knows of the native module.
 */
import type { Codec } from './codec.js'

/** Options of {@link Millrace.open}. */
export interface OpenOptions {
  /**
   * Whether an empty or absent directory becomes a new store.
   * @default true
   */
  readonly create?: boolean
  /** Gives up waiting for the open; what was opened meanwhile is closed again. */
  readonly signal?: AbortSignal
  /** What the project's own tests turn; see docs/testing.md. @internal */
  readonly testing?: TestingOptions
}

/** Turns a store into one that only tests want. @internal */
export interface TestingOptions {
  /** How many times faster than the machine's the store's clock runs: a whole number from 1 to 1,000,000. */
  readonly clockFactor?: number
  /** How long a segment grows, in bytes: a power of two from 64 KiB to 64 MiB. */
  readonly segmentBytesMax?: number
  /** Whether streams count what passes; without it their metrics stay empty, and the bench sees what counting costs. */
  readonly meters?: boolean
}

/**
 * How long records stay: `'24h'`, `'7d'`, a number of hours, or `'unbounded'`. From 24 h to 8,760 h (365 days).
 *
 * @example
 * const retention: Retention = '7d'
 */
export type Retention = `${number}h` | `${number}d` | number | 'unbounded'

/**
 * What an acknowledgement promises.
 *
 * | policy | acknowledged | visible to readers |
 * |---|---|---|
 * | `'synced'` | after the group's fdatasync | after it |
 * | `{ interval: ms }` | when published | after the sync, at most `ms` milliseconds later |
 * | `'os'` | when published: survives a crash of the process, not of the machine | when published |
 */
export type Durability =
  | 'synced'
  | 'os'
  | {
      /** Milliseconds until the sync at most, 1 to 60,000. */
      readonly interval: number
    }

/**
 * What one shard takes and gives a second. What is left out is not limited; each number is a whole one from 1 to 2^40.
 *
 * @example
 * const limits: ShardLimits = { writeRecordsPerSecond: 100, readsPerSecond: 5 }
 */
export interface ShardLimits {
  /**
   * Bytes of data and keys written. A record of more than that, a large one, passes once the shard has saved up enough:
   * see docs/capacity.md.
   * @default unlimited (`'aws'`: 1_048_576)
   */
  readonly writeBytesPerSecond?: number
  /**
   * Records written.
   * @default unlimited (`'aws'`: 1_000)
   */
  readonly writeRecordsPerSecond?: number
  /**
   * Bytes of data and keys read by all who share the shard.
   * @default unlimited (`'aws'`: 2_097_152)
   */
  readonly readBytesPerSecond?: number
  /**
   * Reads by all who share the shard.
   * @default unlimited (`'aws'`: 5)
   */
  readonly readsPerSecond?: number
  /**
   * Iterators asked for.
   * @default unlimited (`'aws'`: 5)
   */
  readonly iteratorsPerSecond?: number
  /**
   * Bytes pushed to one registered consumer.
   * @default unlimited (`'aws'`: 2_097_152)
   */
  readonly fanOutBytesPerSecond?: number
}

/**
 * The limits of a stream's shards: none, exactly those that AWS publishes for Kinesis Data Streams, or one's own.
 *
 * A put beyond them rejects with `ERR_MILLRACE_THROUGHPUT_EXCEEDED`, whose `retryAfterMs` says when to try again. They
 * limit reads only where a read asks for that: those of the AWS protocol do, {@link Stream.read} does not.
 */
export type LimitPolicy = 'unlimited' | 'aws' | ShardLimits

/**
 * Who decides how many shards a stream has: its owner (`'provisioned'`), or its traffic (`'on-demand'`).
 *
 * An on-demand stream begins with four shards. A shard that takes in more than 500 KB/s or 500 records/s, on average over
 * five minutes, is split at its middle; so the stream can take twice its highest average of the last thirty days. What
 * thirty days did not need is merged again after a day of quiet. A single key stays in one shard.
 */
export type CapacityMode = 'provisioned' | 'on-demand'

/** How much one handle of a stream may hold before the log has taken it. */
export interface AppendLimits {
  /**
   * Bytes staged or not yet acknowledged, beyond which `put` rejects and `append` throws
   * `ERR_MILLRACE_BACKPRESSURE`.
   * @default 67_108_864 (64 MiB)
   */
  readonly maxInFlightBytes?: number
  /**
   * Records staged or not yet acknowledged, beyond which `put` rejects and `append` throws
   * `ERR_MILLRACE_BACKPRESSURE`.
   * @default 1_048_576
   */
  readonly maxInFlightRecords?: number
}

/** Options of {@link Millrace.stream}. */
export interface StreamOptions<T> extends AppendLimits {
  /**
   * How values become bytes. It must have the name that the stream was created with.
   * @default raw
   */
  readonly codec?: Codec<T>
}

/** Options of {@link Millrace.createStream}. */
export interface CreateStreamOptions<T> extends StreamOptions<T> {
  /**
   * Shards, over which the hash key range is divided evenly.
   * @default 1, or 4 for an on-demand stream
   */
  readonly shards?: number
  /**
   * How long records stay.
   * @default '24h'
   */
  readonly retention?: Retention
  /**
   * What an acknowledgement promises.
   * @default 'synced'
   */
  readonly durability?: Durability
  /**
   * Largest key and data of one record together, in bytes; at most 10 MiB.
   * @default 1_048_576 (1 MiB)
   */
  readonly maxRecordBytes?: number
  /**
   * Disk space prepared ahead of the first append, in bytes.
   * @default 0
   */
  readonly preallocate?: number
  /**
   * What its shards take and give a second.
   * @default 'unlimited'
   */
  readonly limits?: LimitPolicy
  /**
   * Who decides how many shards it has.
   * @default 'provisioned'
   */
  readonly mode?: CapacityMode
  /**
   * What is to be noted at the stream: at most 50 pairs, keys of 1 to 128 characters that do not begin with `aws:`,
   * values of 0 to 256, both of letters, digits, spaces and `_ . : / = + - @ %`.
   * @default {}
   */
  readonly tags?: Readonly<Record<string, string>>
  /**
   * Opens the stream instead of failing when it exists. Its stored settings stay as they are.
   * @default false
   */
  readonly ifNotExists?: boolean
}

/** One record to be written. */
export interface PutRecord<T> {
  /** 1 to 256 characters; its MD5 chooses the shard. */
  readonly partitionKey: string
  /** The value, as the stream's codec takes it. */
  readonly data: T
  /** Chooses the shard instead of the key's MD5: 0 to 2^128 - 1, as a bigint or a decimal string. */
  readonly explicitHashKey?: bigint | string
}

/** Where a reader starts. */
export type StartAt =
  | 'TRIM_HORIZON'
  | 'LATEST'
  | {
      /** The sequence number of the first record. */
      readonly at: string
    }
  | {
      /** The sequence number of the record before the first. */
      readonly after: string
    }
  | {
      /** Arrival of the first record at the earliest: a `Date`, or milliseconds since the epoch. */
      readonly timestamp: Date | number
    }

/** Options of {@link Stream.read}. */
export interface ReadOptions {
  /**
   * `'TRIM_HORIZON'`: the oldest record; `'LATEST'`: what is appended from now on; at or after a sequence number;
   * or the first record that arrived at or after a time (a `Date`, or milliseconds since the epoch).
   * @default 'LATEST'
   */
  readonly from?: StartAt
  /**
   * Only this shard, such as `'shardId-000000000002'`.
   * @default all shards
   */
  readonly shard?: string
  /**
   * With `shard`: whether the reader goes on into the shards that it is split and merged into, each behind its parents,
   * so that the order of each key is kept. Without, it ends at the end of a closed shard and tells its
   * {@link Reader.childShards}.
   * @default false
   */
  readonly withChildren?: boolean
  /**
   * With `shard`: whether each look at the log counts against the shard's read limits, as a `GetRecords` does. Under
   * `'aws'` these are five a second, and 2 MB of records: an answer of more closes the shard for as long as it takes. A
   * look that is refused rejects with `ERR_MILLRACE_THROUGHPUT_EXCEEDED` and `retryAfterMs`, reads nothing, and can be
   * made again ({@link retry}). Without it, reading is free.
   * @default false
   */
  readonly limited?: boolean
  /**
   * Whether the reader waits at the tail for more. With `false` it ends there.
   * @default true
   */
  readonly follow?: boolean
  /**
   * `'published'` hands over records before their sync: sooner, and what it sees may vanish in a crash.
   * @default 'durable' (what the stream's policy makes visible)
   */
  readonly visibility?: 'durable' | 'published'
  /**
   * `'pushed'` sleeps until the log wakes it. `'polled'` never sleeps: it looks at a mapped word in each turn of the
   * event loop, which costs a core and answers in about a microsecond.
   * @default 'pushed'
   */
  readonly mode?: 'pushed' | 'polled'
  /**
   * Hands over owned copies instead of views of the mapped log.
   * @default false
   */
  readonly copy?: boolean
  /**
   * Most records in one batch, 1 to 65,536.
   * @default 1024
   */
  readonly maxRecords?: number
  /**
   * Bytes after which a batch ends; one record is always handed over, however large it is.
   * @default 4_194_304 (4 MiB)
   */
  readonly maxBytes?: number
  /** Ends the read: a waiting or later `next()` rejects with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal
}

/** One line of {@link Millrace.listStreams}. */
export interface StreamSummary {
  /** The stream's name. */
  readonly name: string
  /** `'deleting'` until the files of a deleted stream are gone. */
  readonly status: 'active' | 'deleting'
  /** Number of open shards. */
  readonly shards: number
  /** Hours that records stay, or `'unbounded'`. */
  readonly retentionHours: number | 'unbounded'
  /** What an acknowledgement promises. */
  readonly durability: Durability
  /** Name of the codec that the stream was created with. */
  readonly codec: string
  /** When the stream was created. */
  readonly createdAt: Date
  /** What its shards take and give a second. */
  readonly limits: LimitPolicy
  /** Who decides how many shards it has. */
  readonly mode: CapacityMode
  /** What was noted at it, by key. */
  readonly tags: Readonly<Record<string, string>>
}

/** Options of {@link Stream.splitShard}, {@link Stream.mergeShards} and {@link Stream.updateShardCount}. */
export interface ReshardOptions {
  /**
   * Whether to say only what would be opened: the call is refused as the change would be, and changes nothing.
   * @default false
   */
  readonly dryRun?: boolean
}

/** Which shards {@link Stream.listShards} lists; as `ShardFilter` of Kinesis. A time before the trim horizon is the horizon. */
export type ShardFilter =
  /** Those that were open at the oldest record that is kept. */
  | 'AT_TRIM_HORIZON'
  /** All that can be read: those that are open, and the closed ones whose records have not all expired. */
  | 'FROM_TRIM_HORIZON'
  /** Those that are open. */
  | 'AT_LATEST'
  | {
      /** Those whose ids come after this one. */
      readonly afterShardId: string
    }
  | {
      /** Those that were open at this time: a `Date`, or milliseconds since the epoch. */
      readonly atTimestamp: Date | number
    }
  | {
      /** Those that are open, and the closed ones that were still open at this time: a `Date`, or milliseconds. */
      readonly fromTimestamp: Date | number
    }

/** One shard in a {@link StreamDescription}. */
export interface ShardDescription {
  /** Such as `'shardId-000000000000'`. */
  readonly shardId: string
  /** The part of the hash key space that the shard takes; both ends belong to it, as decimal strings. */
  readonly hashKeyRange: {
    /** The first hash key of the shard. */
    readonly startingHashKey: string
    /** The last hash key of the shard. */
    readonly endingHashKey: string
  }
  /** `'closed'` once it was split or merged: it can be read until its records have expired. */
  readonly status: 'open' | 'closed'
  /** Its records have sequence numbers in this range. */
  readonly sequenceNumberRange: {
    /** No record of the shard has a lower one. */
    readonly startingSequenceNumber: string
    /** No record of the shard has a higher one; `undefined` while it is open. */
    readonly endingSequenceNumber: string | undefined
  }
  /** The shard that was split into it, or the first of the two that were merged. */
  readonly parentShardId: string | undefined
  /** The other one of the two shards that were merged. */
  readonly adjacentParentShardId: string | undefined
}

/** What an on-demand stream can take before its traffic has asked for it. */
export interface WarmThroughput {
  /** What was asked for, in MiB/s written. */
  readonly targetMiBps: number
  /** What its open shards take in at present, in MiB/s written, by the limits of AWS. */
  readonly currentMiBps: number
}

/** What {@link Stream.describe} returns. */
export interface StreamDescription extends StreamSummary {
  /** The stream's shards, open and closed, in the order of their ids. */
  readonly shardList: readonly ShardDescription[]
  /** Largest record in bytes. */
  readonly maxRecordBytes: number
  /** Bytes of all segment files, unused ends included. */
  readonly bytes: number
  /** Number of segment files. */
  readonly segments: number
  /** Records in sealed segments. Those in the segment that is being written are not counted yet. */
  readonly sealedRecords: number
  /** No record that can be read is older; the stream's creation while it is empty. */
  readonly oldestArrival: Date
  /** What an on-demand stream is warmed up for; missing where it is not. */
  readonly warmThroughput?: WarmThroughput
}
