/** What `Millrace.verify` takes and finds, and how damage is told by it and by `Millrace.repair`. */
import { formatShardId } from './batch.js'

/** Options of {@link Millrace.verify}. */
export interface VerifyOptions {
  /** Called now and then with the bytes read so far and how many there are in all. It must not throw. */
  readonly onProgress?: (bytesRead: number, bytesKnown: number) => void
}

/** Something that is not what was written. */
export interface Damage {
  /** The stream's name; or `queue` and a queue's name, `control log`, `store`, or the path of a directory that belongs to no stream. */
  readonly stream: string
  /**
   * - `damaged`: acknowledged records are damaged or missing;
   * - `cut`: records at the end of the log that opening the store cuts (or has cut), and that may have been acknowledged;
   * - `header`: a segment's header or opening is damaged;
   * - `shards`: a change of the shard map is damaged, and no record is lost;
   * - `index`: a segment's index is damaged, and no record is lost;
   * - `other`: not a part of a segment; the message says what.
   */
  readonly kind: 'damaged' | 'cut' | 'shards' | 'header' | 'index' | 'other'
  /** The segment file; empty where it is about no segment. */
  readonly segment: string
  /** Where in the file the damage begins, in bytes. */
  readonly offset: number
  /** Where it ends; equal to `offset` where it has no place. */
  readonly endOffset: number
  /** The shards that lost records, or `any` where that cannot be known. */
  readonly shardIds: readonly string[] | 'any'
  /** How many records are lost at most, as far as sequences tell. */
  readonly records: number
  /**
   * The records concerned have sequence numbers from `first` on and before `next`, compared as integers. Where any shard
   * is concerned these are numbers of shard 0. Absent where no record is concerned.
   */
  readonly sequenceNumbers?: {
    /** The lowest that may be concerned. */
    readonly first: string
    /** The first behind them. */
    readonly next: string
  }
  /** All of it as a sentence. */
  readonly message: string
}

/** The result of {@link Millrace.verify}. */
export interface VerifyReport {
  /** Streams read. */
  readonly streams: number
  /** Segment files read. */
  readonly segments: number
  /** Frames read. */
  readonly frames: number
  /** Good records read. */
  readonly records: number
  /** Bytes read. */
  readonly bytes: number
  /** All that is damaged; empty when the store is sound. */
  readonly damages: readonly Damage[]
}

/** A damage as the native module tells it. */
interface NativeDamage {
  readonly stream: string
  readonly kind: string
  readonly segment: string
  readonly offset: number
  readonly endOffset: number
  readonly shards?: readonly number[]
  readonly records: number
  readonly firstSequenceNumber?: string
  readonly nextSequenceNumber?: string
  readonly message: string
}

/** A damage as callers see it. */
export function describeDamage(native: NativeDamage): Damage {
  const { shards, firstSequenceNumber: first, nextSequenceNumber: next } = native
  const { stream, segment, offset, endOffset, records, message } = native
  return {
    stream,
    // The native module has no other words.
    kind: native.kind as Damage['kind'],
    segment,
    offset,
    endOffset,
    shardIds: shards === undefined ? 'any' : shards.map(formatShardId),
    records,
    ...(first === undefined || next === undefined ? {} : { sequenceNumbers: { first, next } }),
    message,
  }
}

/**
 * Resolves when what a long work said of its progress has been told. It says so from another thread, by the event loop,
 * where the end of the work may overtake it.
 */
export async function progressIsTold(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
