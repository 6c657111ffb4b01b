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

/** What became of one record of {@link Stream.putMany} with `partial`. */
export type PutOutcome =
  | ({
      /** It is written. */
      readonly ok: true
    } & PutResult)
  | {
      /** It is not. */
      readonly ok: false
      /** Why not; where it says `retryable`, the record can be put again. */
      readonly error: MillraceError
    }

/** Puts of one batch that one promise waits for: records `first` to `first + count - 1`. */
interface Waiting {
  readonly first: number
  count: number
  /** Whether it takes a batch of which some of its records were refused, instead of being rejected. */
  readonly partial: boolean
  readonly resolve: (batch: Sent) => void
  readonly reject: (error: MillraceError) => void
}

/** Records that are staged together, and later in flight together. */
export class Sent {
  waiting: Waiting[] = []
  /** Records staged by `append`, for which no promise waits. */
  appended = 0
  bytes = 0
  records = 0
  position = 0
  shards: Uint32Array | null = null
  sequences: BigUint64Array | null = null
  /** Records that limits refused, by their index. */
  refused: ReadonlyMap<number, MillraceError> | undefined
}

/** The first error among the records that a promise waits for. */
export function refusalOf(batch: Sent, { first, count }: Waiting): MillraceError | undefined {
  for (const [index, error] of batch.refused ?? []) if (index >= first && index < first + count) return error
  return undefined
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

/** A result that says so. */
class LazyPutSuccess extends LazyPutResult {
  readonly ok = true

  override toJSON(): PutOutcome & PutResult {
    return { ok: true, ...super.toJSON() }
  }
}

/** The puts of one `putMany`: one promise a batch that they went into, not one a record. */
abstract class Group<R> {
  readonly #pieces: Promise<R[]>[] = []
  #batch: Sent | undefined
  #piece: Waiting | undefined

  protected abstract readonly partial: boolean

  /** What became of one record of a batch that is written. */
  protected abstract resultOf(native: NativeStream, batch: Sent, index: number): R

  /** What to make of records that failed together. */
  protected abstract failed(count: number, error: MillraceError): Promise<R[]>

  /** Adds the record at `index` of `batch`: the one that was staged last. */
  extend(batch: Sent, index: number, native: NativeStream): void {
    const piece = this.#piece
    if (this.#batch === batch && piece !== undefined && piece.first + piece.count === index) {
      piece.count += 1
      return
    }
    const promise = new Promise<R[]>((resolve) => {
      const settle = (sent: Sent): void => {
        const { first, count } = waiting
        resolve(Array.from({ length: count }, (_, i) => this.resultOf(native, sent, first + i)))
      }
      const reject = (error: MillraceError): void => resolve(this.failed(waiting.count, error))
      const waiting: Waiting = { first: index, count: 1, partial: this.partial, resolve: settle, reject }
      batch.waiting.push(waiting)
      this.#piece = waiting
    })
    // The caller may still be staging when a piece fails; `results` reports it.
    promise.catch(() => {})
    this.#batch = batch
    this.#pieces.push(promise)
  }

  /** All results, in the order of the records. */
  async results(): Promise<R[]> {
    return (await Promise.all(this.#pieces)).flat()
  }
}

/** A group that fails with the first record that fails. */
export class PutGroup extends Group<PutResult> {
  protected readonly partial = false

  protected resultOf(native: NativeStream, batch: Sent, index: number): PutResult {
    return new LazyPutResult(native, batch, index)
  }

  protected failed(_count: number, error: MillraceError): Promise<PutResult[]> {
    return Promise.reject(error)
  }
}

/** A group that tells of each record what became of it. */
export class PartialPutGroup extends Group<PutOutcome> {
  protected readonly partial = true

  protected resultOf(native: NativeStream, batch: Sent, index: number): PutOutcome {
    const error = batch.refused?.get(index)
    return error === undefined ? new LazyPutSuccess(native, batch, index) : { ok: false, error }
  }

  protected failed(count: number, error: MillraceError): Promise<PutOutcome[]> {
    return Promise.resolve(Array.from({ length: count }, () => ({ ok: false, error })))
  }
}
