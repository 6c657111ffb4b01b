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

/** The lines of `chunks`, in groups as they come; empty lines are left out. */
export async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let rest: Buffer | undefined
  let number = 0
  for await (const chunk of chunks) {
    const bytes: Buffer = rest === undefined ? chunk : Buffer.concat([rest, chunk])
    const group: Line[] = []
    let start = 0
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
      number += 1
      push(group, bytes.subarray(start, end), number)
      start = end + 1
    }
    rest = start < bytes.length ? bytes.subarray(start) : undefined
    if (rest !== undefined && rest.length > LINE_BYTES_MAX) {
      throw new CommandFailure(
        'ERR_LINE_TOO_LONG',
        `line ${number + 1}: expected at most 10 MiB, got ${rest.length} bytes`,
      )
    }
    if (group.length > 0) yield group
  }
  const last: Line[] = []
  if (rest !== undefined) push(last, rest, number + 1)
  if (last.length > 0) yield last
}

function push(group: Line[], bytes: Buffer, number: number): void {
  const end = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length
  if (end > 0) group.push({ bytes: end === bytes.length ? bytes : bytes.subarray(0, end), number })
}
