/** What `Millrace.repair` takes and tells. */
import { NativeStop, repairStore } from './binding.js'
import { aborted, mappedAsync } from './errors.js'
import { describeDamage, progressIsTold, type Damage } from './verify.js'

/** Options of {@link Millrace.repair}. */
export interface RepairOptions {
  /** Called now and then with the bytes read so far and how many there are in all. It must not throw. */
  readonly onProgress?: (bytesRead: number, bytesKnown: number) => void
  /** Stops the repair; what was copied until then is removed. */
  readonly signal?: AbortSignal
}

/** A stream of a repaired store. */
export interface RepairedStream {
  /** The stream's name. */
  readonly name: string
  /**
   * Whether the control log had lost the stream: then its name, `recovered-…`, and its settings are made up, and its
   * records are kept without bound.
   */
  readonly recovered: boolean
  /** Segment files written. */
  readonly segments: number
  /** Records kept. */
  readonly records: number
  /** Bytes read. */
  readonly bytes: number
}

/** The result of {@link Millrace.repair}. */
export interface RepairReport {
  /** The streams of the copy. */
  readonly streams: readonly RepairedStream[]
  /** What was left out of it or made up; empty when the store was sound, and the copy is equal to it. */
  readonly damages: readonly Damage[]
}

/** Copies what is good of the store in `from` to `to`. */
export async function repair(from: string, to: string, options: RepairOptions): Promise<RepairReport> {
  const { onProgress, signal } = options
  if (signal?.aborted) throw aborted(signal)
  const stop = new NativeStop()
  const onAbort = (): void => stop.stop()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const native = await mappedAsync(() => repairStore(from, to, stop, (done, total) => onProgress?.(done, total)))
    await progressIsTold()
    if (native.stopped && signal !== undefined) throw aborted(signal)
    return { streams: native.streams, damages: native.damages.map(describeDamage) }
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
