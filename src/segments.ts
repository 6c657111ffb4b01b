/**
 * The segments of one stream as JavaScript sees them: each once, for as long as anything looks at it.
 *
 * A segment's bytes are mapped when they are first asked for: a map counts with its whole length as external memory,
 * and so makes the collector run. A segment that two readers walk is mapped once. Only weak references are kept here:
 * holding the segments themselves would hold the disk space of those that retention has already removed.
 */
import assert from 'node:assert'
import type { NativeSegment } from './binding.js'
import { mapped } from './errors.js'

/** Memory that descriptors point into. */
export class Memory {
  /** Kept, because asking a `Buffer` for it is a call into C++. */
  readonly buffer: ArrayBufferLike

  constructor(readonly view: Buffer) {
    assert(view.byteOffset === 0, 'descriptors count from the start of the buffer')
    this.buffer = view.buffer
  }

  /** Whether the program gave it away (a transfer), or there never was any. */
  get isGone(): boolean {
    return this.view.length === 0
  }
}

/** Where the bytes of records stand: in a segment, or in a slab. */
export interface RecordBytes {
  readonly memory: Memory
}

/** The bytes of one segment. Whoever holds it holds the segment. */
export class SegmentBytes implements RecordBytes {
  readonly #native: NativeSegment
  #memory: Memory | undefined

  constructor(native: NativeSegment) {
    this.#native = native
  }

  get memory(): Memory {
    if (this.#memory === undefined || this.#memory.isGone) {
      this.#memory = new Memory(Buffer.from(mapped(() => this.#native.map())))
    }
    return this.#memory
  }
}

/** The segments of one stream in this environment. */
export class Segments {
  readonly #known = new Map<number, WeakRef<SegmentBytes>>()

  /** The segment with this id; `hold` makes it when nobody has it. */
  get(id: number, hold: () => NativeSegment): SegmentBytes {
    const known = this.#known.get(id)?.deref()
    if (known !== undefined) return known
    this.#forgetCollected()
    const segment = new SegmentBytes(hold())
    this.#known.set(id, new WeakRef(segment))
    return segment
  }

  #forgetCollected(): void {
    for (const [id, segment] of this.#known) if (segment.deref() === undefined) this.#known.delete(id)
  }
}
