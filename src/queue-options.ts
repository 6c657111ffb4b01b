/**
 * The settings of queues: between what callers write and what the native module takes.
 */
import type { NativeQueueConfig, NativeQueueOptions, NativeQueueSummary } from './binding.js'
import { checkWhole } from './checks.js'
import { nativeStart } from './describe.js'
import { invalidArgument } from './errors.js'

/** What of a queue can be changed. */
export interface QueueAttributes {
  /**
   * Seconds that a record which was received is not handed out again, 0 to 43,200 (12 hours).
   * @default 30
   */
  readonly visibilitySeconds?: number
  /**
   * After so many times, 1 to 1,000, a record that nobody acknowledges is a dead letter; with `'none'` it is handed out
   * until it is acknowledged or expires.
   * @default 6
   */
  readonly maxReceiveCount?: number | 'none'
}

/** Options of {@link Stream.createQueue}. */
export interface CreateQueueOptions extends QueueAttributes {
  /**
   * Where the queue begins, for good: `'LATEST'` (what arrives from now on), `'TRIM_HORIZON'` (the oldest record), or
   * the first record that arrived at or after a time (a `Date`, or milliseconds since the epoch).
   * @default 'LATEST'
   */
  readonly from?:
    | 'LATEST'
    | 'TRIM_HORIZON'
    | {
        /** Arrival of the first record at the earliest: a `Date`, or milliseconds since the epoch. */
        readonly timestamp: Date | number
      }
  /**
   * Notes of an operator: at most 50.
   * @default {}
   */
  readonly tags?: Readonly<Record<string, string>>
  /**
   * Opens the queue instead of failing when it exists. Its stored settings stay as they are.
   * @default false
   */
  readonly ifNotExists?: boolean
}

/** Options of {@link Queue.receive} and {@link Queue.deadLetters}. */
export interface ReceiveOptions {
  /**
   * Most records, 1 to 10.
   * @default 10
   */
  readonly max?: number
  /**
   * Seconds to wait for a record to be visible, 0 to 20.
   * @default 0
   */
  readonly waitSeconds?: number
  /**
   * Seconds that these records are not handed out again, 0 to 43,200.
   * @default what the queue is configured with
   */
  readonly visibilitySeconds?: number
  /** Ends the wait: the call rejects with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal
}

/** How many records a queue has. */
export interface QueueMetrics {
  /** Records that can be received now; 1,000,000 where there are more. */
  readonly visible: number
  /** Records that were received and not yet acknowledged. */
  readonly inFlight: number
  /** The same of dead letters. */
  readonly deadLetters: {
    /** Dead letters that can be received now. */
    readonly visible: number
    /** Dead letters that were received and not yet acknowledged. */
    readonly inFlight: number
  }
}

/** One line of {@link Stream.queues}. */
export interface QueueSummary {
  /** The queue's name. */
  readonly name: string
  /** When it was created. */
  readonly createdAt: Date
  /** Seconds that a record which was received is not handed out again. */
  readonly visibilitySeconds: number
  /** After how many times a record is a dead letter. */
  readonly maxReceiveCount: number | 'none'
  /** Notes of an operator. */
  readonly tags: Readonly<Record<string, string>>
}

const DEFAULTS: NativeQueueConfig = { visibilityTimeoutS: 30, maxReceiveCount: 6 }
const U32_MAX = 0xffff_ffff

/** Settings as the native module takes them; what is left out stays as `known` has it. */
export function nativeAttributes(attributes: QueueAttributes, known: NativeQueueConfig = DEFAULTS): NativeQueueConfig {
  const { visibilitySeconds = known.visibilityTimeoutS, maxReceiveCount = known.maxReceiveCount ?? 'none' } = attributes
  return {
    visibilityTimeoutS: checkWhole('visibilitySeconds', visibilitySeconds, 0, U32_MAX),
    ...(maxReceiveCount === 'none'
      ? {}
      : { maxReceiveCount: checkWhole('maxReceiveCount', maxReceiveCount, 0, U32_MAX) }),
  }
}

/** What a queue is created with, as the native module takes it. */
export function nativeQueueOptions(options: CreateQueueOptions): NativeQueueOptions {
  const { kind, timestamp } = nativeStart(options.from ?? 'LATEST')
  if (kind === 'at' || kind === 'after') {
    throw invalidArgument("from: expected 'TRIM_HORIZON', 'LATEST' or { timestamp } of a queue, got a sequence number")
  }
  return {
    kind,
    ...(timestamp === undefined ? {} : { timestamp }),
    config: nativeAttributes(options),
    tags: { ...options.tags },
  }
}

/** A queue in a list, as callers see it. */
export function describeQueue({ name, createdAtMs, config, tags }: NativeQueueSummary): QueueSummary {
  return {
    name,
    createdAt: new Date(createdAtMs),
    visibilitySeconds: config.visibilityTimeoutS,
    maxReceiveCount: config.maxReceiveCount ?? 'none',
    tags,
  }
}
