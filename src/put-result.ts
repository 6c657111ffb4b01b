/**
 * What a put comes to: batches in flight, the promises that wait for them, and results that are formatted lazily.
 */
import { inspect } from 'node:util'
import { formatShardId } from './batch.js'
import type { NativeStream } from './binding.js'
import { mapped, type MillraceError } from './errors.js'

/** Where a record was written. */
export interface PutResult {
  /** Such as `'shardId-000000000000'`. */
  readonly shardId: string
  /** 56 decimal digits; as an integer it grows over a shard. */
  readonly sequenceNumber: string
}

/** Puts of one batch that one promise waits for: records `first` to `first + count - 1`. */
interface Waiting {
  readonly first: number
  count: number
  readonly resolve: (batch: Sent) => void
  readonly reject: (error: MillraceError) => void
}

/** Records that are staged together, and later in flight together. */
export class Sent {
  readonly waiting: Waiting[] = []
  /** Records staged by `append`, for which no promise waits. */
  appended = 0
  bytes = 0
  records = 0
  position = 0
  shards: Uint32Array | null = null
  sequences: BigUint64Array | null = null
}

/** Formats where a record was written only when asked: most callers never look. */
export class LazyPutResult implements PutResult {
  readonly #native: NativeStream
  readonly #batch: Sent
  readonly #index: number

  constructor(native: NativeStream, batch: Sent, index: number) {
    this.#native = native
    this.#batch = batch
    this.#index = index
  }

  get shardId(): string {
    return formatShardId(this.#shard)
  }

  get sequenceNumber(): string {
    const sequence = this.#batch.sequences?.[this.#index] as bigint
    return mapped(() => this.#native.sequenceNumber(this.#shard, sequence))
  }

  get #shard(): number {
    return this.#batch.shards?.[this.#index] as number
  }

  toJSON(): PutResult {
    return { shardId: this.shardId, sequenceNumber: this.sequenceNumber }
  }

  [inspect.custom](): PutResult {
    return this.toJSON()
  }
}

/** The puts of one `putMany`: one promise a batch that they went into, not one a record. */
export class PutGroup {
  readonly #pieces: Promise<PutResult[]>[] = []
  #batch: Sent | undefined
  #piece: Waiting | undefined

  /** Adds the record at `index` of `batch`: the one that was staged last. */
  extend(batch: Sent, index: number, native: NativeStream): void {
    const piece = this.#piece
    if (this.#batch === batch && piece !== undefined && piece.first + piece.count === index) {
      piece.count += 1
      return
    }
    const promise = new Promise<PutResult[]>((resolve, reject) => {
      const settle = (sent: Sent): void => {
        const { first, count } = waiting
        resolve(Array.from({ length: count }, (_, i) => new LazyPutResult(native, sent, first + i)))
      }
      const waiting: Waiting = { first: index, count: 1, resolve: settle, reject }
      batch.waiting.push(waiting)
      this.#piece = waiting
    })
    // The caller may still be staging when a piece fails; `results` reports it.
    promise.catch(() => {})
    this.#batch = batch
    this.#pieces.push(promise)
  }

  /** All results, in the order of the records. */
  async results(): Promise<PutResult[]> {
    return (await Promise.all(this.#pieces)).flat()
  }
}
