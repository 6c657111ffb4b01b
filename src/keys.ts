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
  const at = (index: number): number => bytes[start + index] as number
  const code = String.fromCharCode
  switch (length) {
    case 1:
      return code(at(0))
    case 2:
      return code(at(0), at(1))
    case 3:
      return code(at(0), at(1), at(2))
    case 4:
      return code(at(0), at(1), at(2), at(3))
    case 5:
      return code(at(0), at(1), at(2), at(3), at(4))
    case 6:
      return code(at(0), at(1), at(2), at(3), at(4), at(5))
    case 7:
      return code(at(0), at(1), at(2), at(3), at(4), at(5), at(6))
    case 8:
      return code(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
    case 9:
      return code(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8))
    case 10:
      return code(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9))
    case 11:
      return code(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10))
    case 12:
      return code(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10), at(11))
    default:
      return bytes.toString('latin1', start, start + length)
  }
}
