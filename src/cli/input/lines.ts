/** Cuts bytes into lines without making strings of them. */
import { CommandFailure } from '../exit.js'

/** No record can be longer, so that input without line ends is refused before it fills the memory. */
const LINE_BYTES_MAX = 10 * 1024 * 1024
const LF = 0x0a
const CR = 0x0d

/** One line without its end. */
export interface Line {
  readonly bytes: Buffer
  /** Counted from 1. */
  readonly number: number
}

/** Cuts chunk by chunk; a line whose end has not come yet waits for it. Empty lines are left out. */
export class LineCutter {
  #rest: Buffer | undefined
  #number = 0

  /** Bytes of the line whose end has not come yet. */
  get pendingBytes(): number {
    return this.#rest?.length ?? 0
  }

  /** The lines that end in `chunk`. */
  take(chunk: Buffer): Line[] {
    const bytes: Buffer = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    const group: Line[] = []
    let start = 0
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
      this.#push(group, bytes.subarray(start, end))
      start = end + 1
    }
    this.#rest = start < bytes.length ? bytes.subarray(start) : undefined
    if (this.pendingBytes > LINE_BYTES_MAX) {
      throw new CommandFailure(
        'ERR_LINE_TOO_LONG',
        `line ${this.#number + 1}: expected at most 10 MiB, got ${this.pendingBytes} bytes`,
      )
    }
    return group
  }

  /** The last line, which nothing ended: one, or none. */
  end(): Line[] {
    const last: Line[] = []
    if (this.#rest !== undefined) this.#push(last, this.#rest)
    this.#rest = undefined
    return last
  }

  #push(group: Line[], bytes: Buffer): void {
    this.#number += 1
    const end = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length
    if (end > 0) group.push({ bytes: end === bytes.length ? bytes : bytes.subarray(0, end), number: this.#number })
  }
}

/** The lines of `chunks`, in groups as they come. */
export async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  const cutter = new LineCutter()
  for await (const chunk of chunks) {
    const group = cutter.take(chunk)
    if (group.length > 0) yield group
  }
  const last = cutter.end()
  if (last.length > 0) yield last
}
