/**
 * The read side: one position in a stream that moves forward, as an async iterable, step by step, or polled.
 *
 * A reader asks the native module for descriptors only; bytes are views of a mapped segment, or of a slab when the
 * native side had to copy (records near the published tail, `copy: true`, or a runtime without external buffers).
 * Waiting is armed first and looked at second, so that no wake-up is lost.
 */
import { readerNext, readerPollFor, type NativeReader } from './binding.js'
import { Batch, Window, type RecordSource } from './batch.js'
import { describeShard } from './describe.js'
import { aborted, closed, invalidArgument, mapped, type MillraceError } from './errors.js'
import { keepAlive, type Bell } from './events.js'
import type { ShardDescription } from './options.js'
import { Memory, type RecordBytes, type Segments } from './segments.js'
import { Sequence } from './sequence.js'

const SLAB_BYTES = 1024 * 1024
/** What `next` of the native reader returns instead of a count of records. */
const AT_TAIL = -1
const SLAB_TOO_SMALL = -2
const END_OF_SHARD = -3
/** Slots of the window's header. */
const HEADER = { first: 0, slabUsed: 1, segment: 2, slabWanted: 3, millisBehind: 4, runs: 5 } as const
const IN_SLAB = 0xffff_ffff
const NO_SLAB: RecordBytes = { memory: new Memory(Buffer.alloc(0)) }
/** A loop over batches that are all there already still gives the event loop a turn this often, in milliseconds. */
const TURN_MS_MAX = 10
/** The longest time that one native call spins, in milliseconds: a program can be interrupted in between. */
const SPIN_MS_MAX = 1000

/** What a reader must know; made by {@link Stream.read}. @internal */
export interface ReaderSetup<T> {
  readonly open: () => NativeReader
  /** Rings when there may be more. */
  readonly bell: Bell
  readonly source: RecordSource<T>
  readonly segments: Segments
  readonly follow: boolean
  readonly polled: boolean
  readonly maxRecords: number
  readonly signal: AbortSignal | undefined
  readonly onClose: (reader: Reader<T>) => void
}

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<Batch<T>>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Reads a stream or one shard of it. Made by {@link Stream.read}.
 *
 * @example
 * await using reader = clicks.read({ from: 'TRIM_HORIZON' })
 * for await (const batch of reader) for (const record of batch) handle(record)
 */
export class Reader<T = Uint8Array> extends Sequence<Batch<T>> {
  readonly #setup: ReaderSetup<T>
  readonly #native: NativeReader
  /** The native reader's number, by which the hot call finds it. */
  readonly #handle: number
  readonly #waiting: Waiter<T>[] = []
  #window: Window
  #slab = NO_SLAB
  #slabUsed = 0
  /** The current segment; the reader keeps it so that a walk through a segment maps it once. */
  #segment = NO_SLAB
  #segmentId = IN_SLAB
  /** The mapped word that says how much is published; never leaves this object. */
  #tail: Int32Array | undefined
  #tailSeen: number | undefined
  #state: 'open' | 'ended' | 'closed' = 'open'
  #childShards: readonly ShardDescription[] | undefined
  /** Behind which the reader stood when it ended. */
  #endedBehind: string | undefined
  /** Why the reader was closed, when its owner did not do it. */
  #closedBy: MillraceError | undefined
  #lastTurn = performance.now()

  /** @internal */
  constructor(setup: ReaderSetup<T>) {
    super()
    if (setup.signal?.aborted) throw aborted(setup.signal)
    this.#setup = setup
    this.#window = new Window(setup.maxRecords)
    this.#native = mapped(setup.open)
    this.#handle = this.#native.handle
    this.#setBuffers()
    setup.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Whether the end was reached: that of a closed shard, or the tail, with `follow: false`. */
  get ended(): boolean {
    return this.#state === 'ended'
  }

  /**
   * What the reader's shard was split or merged into, once the reader has come to its end: then it has handed over all
   * of its records, and their keys' later ones are in these shards. `undefined` before, and where the tail was the end.
   */
  get childShards(): readonly ShardDescription[] | undefined {
    return this.#childShards
  }

  /** The sequence number behind which to go on where the reader was last at the tail, or ended. @internal */
  get continuation(): string {
    return this.#endedBehind ?? mapped(() => this.#native.continuation())
  }

  /** Milliseconds after which {@link lookAgain} may find more though no bell rang. @internal */
  get waitMs(): number {
    return this.#state === 'open' ? mapped(() => this.#native.waitMs()) : Number.POSITIVE_INFINITY
  }

  /** Looks whether there is something for those who wait. @internal */
  lookAgain(): void {
    this.#setup.bell.forget(this.#wake)
    this.#wake()
  }

  /** The next batch. Waits at the tail when the reader follows; several calls may wait at once. */
  override next(): Promise<IteratorResult<Batch<T>>> {
    try {
      const result = this.#waiting.length === 0 ? this.#attempt() : undefined
      if (result !== undefined) return this.#afterTurn(result)
    } catch (error) {
      return Promise.reject(error)
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      if (this.#waiting.length > 1) return
      keepAlive.hold()
      this.#wakeLater()
    })
  }

  /** The next batch if there is one now; `undefined` at the tail and at the end. */
  nextSync(): Batch<T> | undefined {
    this.#checkNobodyWaits()
    return this.#step(false)
  }

  /**
   * Like {@link nextSync}, but looks at a mapped word first and crosses into native code only when it has moved:
   * made to be called in a loop.
   */
  poll(): Batch<T> | undefined {
    this.#checkNobodyWaits()
    return this.#look()
  }

  /** Spins for at most `ms` milliseconds until there is a batch. It blocks the event loop meanwhile. */
  pollFor(ms: number): Batch<T> | undefined {
    this.#checkNobodyWaits()
    const until = performance.now() + ms
    let left = ms
    do {
      const batch = this.#step(false, this.#setup.follow ? Math.min(left, SPIN_MS_MAX) : 0)
      if (batch !== undefined || this.#state === 'ended') return batch
      left = until - performance.now()
    } while (left > 0)
    return undefined
  }

  /**
   * Goes on behind the damage at which a step failed with `ERR_MILLRACE_CORRUPT`: at the next records that are intact.
   * What is in between is lost.
   */
  skipDamage(): void {
    this.#checkOpen()
    mapped(() => this.#native.skipDamage())
  }

  /** Ends the read. Calls that wait end with `done`. Batches that were handed over stay readable. */
  override close(): void {
    if (this.#state === 'closed') return
    this.#finish('closed')
    for (const waiter of this.#stopWaiting()) waiter.resolve({ done: true, value: undefined })
  }

  /** Ends the read because the engine closes: calls that wait reject. @internal */
  closeWith(error: MillraceError): void {
    if (this.#state === 'closed') return
    this.#closedBy = error
    this.#finish('closed')
    for (const waiter of this.#stopWaiting()) waiter.reject(error)
  }

  /** A result now, or `undefined` when the reader must wait; what wakes it is armed then. */
  #attempt(): IteratorResult<Batch<T>> | undefined {
    if (this.#state === 'closed' && this.#closedBy === undefined) return { done: true, value: undefined }
    const value = this.#setup.polled && this.#setup.follow ? this.#look() : this.#step(this.#setup.follow)
    if (value !== undefined) return { done: false, value }
    return this.#state === 'ended' ? { done: true, value: undefined } : undefined
  }

  #look(): Batch<T> | undefined {
    if (this.#state === 'ended') return undefined
    const tail = this.#tail ?? this.#mapTail()
    const seen = Atomics.load(tail, 0)
    if (seen === this.#tailSeen) return undefined
    const batch = this.#step(false)
    // The word was read before the step, so that what was published meanwhile is seen at the next call.
    if (batch === undefined) this.#tailSeen = seen
    return batch
  }

  /** One native call; at the tail it spins for so many milliseconds. */
  #step(arm: boolean, spinMs = 0): Batch<T> | undefined {
    if (this.#state === 'ended') return undefined
    this.#checkOpen()
    if (this.#slabUsed > 0 && this.#slab.memory.isGone) this.#replaceSlab(0)
    const window = this.#roomyWindow()
    const header = window.words
    header[HEADER.first] = window.used
    header[HEADER.runs] = window.runs
    header[HEADER.slabUsed] = this.#slabUsed
    const count = mapped(() =>
      spinMs > 0 ? readerPollFor(this.#handle, spinMs * 1000) : readerNext(this.#handle, arm),
    )
    if (count > 0) return this.#batch(window, count)
    if (count === SLAB_TOO_SMALL) {
      this.#replaceSlab(Math.max(SLAB_BYTES, header[HEADER.slabWanted] as number))
      return this.#step(arm, spinMs)
    }
    if (count === 0) return this.#step(arm, spinMs)
    if (count === END_OF_SHARD) this.#noteEnd()
    if (count === END_OF_SHARD || (count === AT_TAIL && !this.#setup.follow)) this.#finish('ended')
    return undefined
  }

  #noteEnd(): void {
    this.#endedBehind = this.continuation
    this.#childShards = mapped(() => this.#native.childShards())?.map(describeShard)
  }

  #batch(window: Window, count: number): Batch<T> {
    const header = window.words
    const segment = header[HEADER.segment] as number
    const bytes = segment === IN_SLAB ? this.#slab : this.#segmentOf(segment)
    this.#slabUsed = header[HEADER.slabUsed] as number
    const runs = (header[HEADER.runs] as number) - window.runs
    return new Batch(window, count, runs, bytes, header[HEADER.millisBehind] as number, this.#setup.source)
  }

  #roomyWindow(): Window {
    if (!this.#window.isRoomy) {
      this.#window = new Window(this.#setup.maxRecords)
      this.#setBuffers()
    }
    return this.#window
  }

  /** When there is no room, and when the program gave the memory away (a transfer): it must not be written to then. */
  #replaceSlab(bytes: number): void {
    this.#slab = bytes === 0 ? NO_SLAB : { memory: new Memory(Buffer.allocUnsafeSlow(bytes)) }
    this.#slabUsed = 0
    this.#setBuffers()
  }

  #setBuffers(): void {
    mapped(() => this.#native.setBuffers(this.#window.bytes, this.#slab.memory.view))
  }

  #segmentOf(id: number): RecordBytes {
    if (id !== this.#segmentId) {
      this.#segment = this.#setup.segments.get(id, () => mapped(() => this.#native.holdSegment()))
      this.#segmentId = id
    }
    return this.#segment
  }

  #mapTail(): Int32Array {
    this.#checkOpen()
    const word = mapped(() => this.#native.tailWord())
    this.#tail = new Int32Array(
      mapped(() => this.#native.mapTail()),
      word * Int32Array.BYTES_PER_ELEMENT,
      1,
    )
    return this.#tail
  }

  /** Called when the bell rings, and in each turn of the event loop by a polled reader. */
  readonly #wake = (): void => {
    while (this.#waiting.length > 0) {
      let result: IteratorResult<Batch<T>> | undefined
      try {
        result = this.#attempt()
      } catch (error) {
        for (const waiter of this.#stopWaiting()) waiter.reject(error)
        return
      }
      if (result === undefined) {
        this.#wakeLater()
        return
      }
      const waiter = this.#waiting.shift() as Waiter<T>
      if (this.#waiting.length === 0) keepAlive.release()
      waiter.resolve(result)
    }
  }

  /** What is armed rings the bell in a later turn, or microtask, of this thread: nothing can come in between. */
  #wakeLater(): void {
    if (this.#setup.polled) setImmediate(this.#wake)
    else this.#setup.bell.wait(this.#wake)
  }

  readonly #onAbort = (): void => {
    if (this.#state === 'open') this.closeWith(aborted(this.#setup.signal as AbortSignal))
  }

  #stopWaiting(): Waiter<T>[] {
    if (this.#waiting.length > 0) {
      keepAlive.release()
      this.#setup.bell.forget(this.#wake)
    }
    return this.#waiting.splice(0)
  }

  /** Lets go of what the reader holds in native code; views of it live on by themselves. */
  #finish(state: 'ended' | 'closed'): void {
    const first = this.#state === 'open'
    this.#state = state
    if (!first) return
    this.#setup.signal?.removeEventListener('abort', this.#onAbort)
    this.#native.close()
    this.#segment = NO_SLAB
    this.#segmentId = IN_SLAB
    this.#tail = undefined
    this.#setup.onClose(this)
  }

  #checkNobodyWaits(): void {
    if (this.#waiting.length > 0) throw invalidArgument('expected no call of next() to be waiting on this reader')
  }

  #checkOpen(): void {
    if (this.#state === 'closed') throw this.#closedBy ?? closed('reader')
  }

  /** Gives the event loop a turn now and then, so that a long replay does not starve timers and acknowledgements. */
  #afterTurn(result: IteratorResult<Batch<T>>): Promise<IteratorResult<Batch<T>>> {
    const now = performance.now()
    if (now - this.#lastTurn < TURN_MS_MAX) return Promise.resolve(result)
    this.#lastTurn = now
    return new Promise((resolve) => {
      setImmediate(() => resolve(result))
    })
  }
}
