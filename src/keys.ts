/**
 * Partition keys from bytes to strings.
 *
 * A call of `toString` costs 80 ns however short the key is; `String.fromCharCode` with as many arguments as there
 * are characters costs 20. So short ASCII keys, nearly all, are made by the latter.
 */

const SHORT_KEY_MAX = 12

/** The string in `length` ASCII bytes that end at `end`. */
export function asciiKey(bytes: Buffer, end: number, length: number): string {
  return length <= SHORT_KEY_MAX ? shortKey(bytes, end - length, length) : bytes.toString('latin1', end - length, end)
}

function shortKey(bytes: Buffer, start: number, length: number): string {
  const at = start
  const code = String.fromCharCode
  switch (length) {
    case 1:
      return code(bytes[at]!)
    case 2:
      return code(bytes[at]!, bytes[at + 1]!)
    case 3:
      return code(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!)
    case 4:
      return code(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!)
    case 5:
      return code(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!, bytes[at + 4]!)
    case 6:
      return code(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!, bytes[at + 4]!, bytes[at + 5]!)
    case 7:
      return code(
        bytes[at]!,
        bytes[at + 1]!,
        bytes[at + 2]!,
        bytes[at + 3]!,
        bytes[at + 4]!,
        bytes[at + 5]!,
        bytes[at + 6]!,
      )
    case 8:
      return code(
        bytes[at]!,
        bytes[at + 1]!,
        bytes[at + 2]!,
        bytes[at + 3]!,
        bytes[at + 4]!,
        bytes[at + 5]!,
        bytes[at + 6]!,
        bytes[at + 7]!,
      )
    case 9:
      return code(
        bytes[at]!,
        bytes[at + 1]!,
        bytes[at + 2]!,
        bytes[at + 3]!,
        bytes[at + 4]!,
        bytes[at + 5]!,
        bytes[at + 6]!,
        bytes[at + 7]!,
        bytes[at + 8]!,
      )
    case 10:
      return code(
        bytes[at]!,
        bytes[at + 1]!,
        bytes[at + 2]!,
        bytes[at + 3]!,
        bytes[at + 4]!,
        bytes[at + 5]!,
        bytes[at + 6]!,
        bytes[at + 7]!,
        bytes[at + 8]!,
        bytes[at + 9]!,
      )
    case 11:
      return code(
        bytes[at]!,
        bytes[at + 1]!,
        bytes[at + 2]!,
        bytes[at + 3]!,
        bytes[at + 4]!,
        bytes[at + 5]!,
        bytes[at + 6]!,
        bytes[at + 7]!,
        bytes[at + 8]!,
        bytes[at + 9]!,
        bytes[at + 10]!,
      )
    case 12:
      return code(
        bytes[at]!,
        bytes[at + 1]!,
        bytes[at + 2]!,
        bytes[at + 3]!,
        bytes[at + 4]!,
        bytes[at + 5]!,
        bytes[at + 6]!,
        bytes[at + 7]!,
        bytes[at + 8]!,
        bytes[at + 9]!,
        bytes[at + 10]!,
        bytes[at + 11]!,
      )
    default:
      return bytes.toString('latin1', start, start + length)
  }
}
