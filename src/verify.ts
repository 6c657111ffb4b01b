/** What `Millrace.verify` takes and finds. */

/** Options of {@link Millrace.verify}. */
export interface VerifyOptions {
  /**
   * Called now and then with the bytes read so far and how many there are in the stream at hand and those before it.
   * It must not throw.
   */
  readonly onProgress?: (bytesRead: number, bytesKnown: number) => void
}

/** Bytes that are not what was written. */
export interface Damage {
  /** The stream's name. */
  readonly stream: string
  /** The segment file; empty when the stream could not be opened at all. */
  readonly segment: string
  /** Where in the file, in bytes. */
  readonly offset: number
  /** What was expected and what came. */
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
