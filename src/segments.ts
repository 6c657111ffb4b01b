/**
 * The segments of one stream as JavaScript sees them: each once, for as long as anything looks at it.
 *
 * A segment's bytes are mapped when they are first asked for: a map counts with its whole length as external memory,
 * and so makes the collector run. A segment that two readers walk is mapped once. Only weak references are kept here:
 * holding the segments themselves would hold the disk space of those that retention has already removed.
 */
import type { NativeSegment } from './binding.js'
import { mapped } from './errors.js'

/** Bytes that records stand in: those of a segment, or of a slab. */
export interface RecordBytes {
  /** From the buffer's first byte on. */
  readonly view: Buffer
}

/** The bytes of one segment. Whoever holds it holds the segment. */
export class SegmentBytes implements RecordBytes {
  readonly #native: NativeSegment
  #view: Buffer | undefined

  constructor(native: NativeSegment) {
    this.#native = native
  }

  get view(): Buffer {
    // A program can give the memory of a view away (a transfer), and then it shows nothing any more.
    if (this.#view === undefined || this.#view.length === 0) {
      this.#view = Buffer.from(mapped(() => this.#native.map()))
    }
    return this.#view
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
