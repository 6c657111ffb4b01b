/**
 * The mapped segments of one stream as JavaScript sees them: each once, for as long as anything looks at it.
 *
 * A segment that two readers walk is mapped once. Only weak references are kept here: holding the views themselves
 * would hold the disk space of segments that retention has already removed.
 */

import { Source } from './batch.js'

/** The views of one stream's segments in this environment. */
export class SegmentViews {
  readonly #views = new Map<number, WeakRef<Source>>()

  /** The bytes of the segment with this id; `map` makes them when nobody holds them. */
  get(id: number, map: () => ArrayBuffer): Source {
    const known = this.#views.get(id)?.deref()
    // A program can give the memory of a view away (a transfer), and then it shows nothing any more.
    if (known !== undefined && !known.isGone) return known
    this.#forgetCollected()
    const view = new Source(Buffer.from(map()))
    this.#views.set(id, new WeakRef(view))
    return view
  }

  #forgetCollected(): void {
    for (const [id, view] of this.#views) if (view.deref() === undefined) this.#views.delete(id)
  }
}
