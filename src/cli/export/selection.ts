/** Which records `export` takes: from a position to an end, of one shard or all, and at most so many. */
import type { Batch, StartAt, Stream } from '../../index.js'

/** Where an export ends; the records there are not part of it. */
export type EndAt = { readonly before: string } | { readonly arrival: number } | undefined

/** The records to be exported. */
export interface Selection {
  readonly from: StartAt
  readonly to: EndAt
  readonly shard: string | undefined
  /** `Infinity` for all. */
  readonly limit: number
}

/** The first `count` records of a batch. */
export interface Selected {
  readonly batch: Batch
  readonly count: number
}

/** The selected records, up to the end of the stream as it is when that is reached. */
export async function* selected(stream: Stream, selection: Selection, signal: AbortSignal): AsyncGenerator<Selected> {
  const { from, to, shard, limit } = selection
  let left = limit
  if (left === 0) return
  const reader = stream.read({ from, follow: false, signal, ...(shard === undefined ? {} : { shard }) })
  for await (const batch of reader) {
    const before = countBefore(batch, to)
    const count = Math.min(before, left)
    if (count > 0) yield { batch, count }
    left -= count
    if (count < batch.length || left === 0) return
  }
}

/** How many of the batch stand before the end. Arrival times and sequence numbers never decrease over a stream. */
function countBefore(batch: Batch, to: EndAt): number {
  if (to === undefined || isBefore(batch, batch.length - 1, to)) return batch.length
  let low = 0
  let high = batch.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(batch, middle, to)) low = middle + 1
    else high = middle
  }
  return low
}

function isBefore(batch: Batch, index: number, to: NonNullable<EndAt>): boolean {
  if ('arrival' in to) return batch.arrivalTime(index) < to.arrival
  // All sequence numbers of a stream have the same number of digits, so that text compares as numbers do.
  return batch.sequenceNumber(index) < to.before
}
