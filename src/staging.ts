/**
 * The staging buffer: records in the layout that the native `append` takes, so that one call carries thousands.
 *
 * A staged record is, little endian: data length u32, key length u16, flags u16 (bit 0: an explicit hash key
 * follows), the 16-byte big-endian hash key if there is one, the data. Behind the last record stand all keys in UTF-8.
 * The native side checks all of it again; the checks here only give the caller an error at the call that caused it.
 *
 * Keys are collected as one string, which costs a few nanoseconds each, and written with one call: writing a key of
 * its own costs 17 a character at a time, and 60 by a native call.
 *
 * This file knows nothing of promises, streams or the native module.
 */
import { isUint8Array } from 'node:util/types'
import { MillraceError, invalidArgument } from './errors.js'

const HEADER_BYTES = 8
const HASH_KEY_BYTES = 16
const FLAG_HASH_KEY = 1
const KEY_CHARACTERS_MAX = 256
/** A UTF-16 unit takes three bytes of UTF-8 at most (a surrogate pair, two units, takes four). */
const UTF8_BYTES_PER_UNIT_MAX = 3
const HASH_KEY_MAX = (1n << 128n) - 1n

/** Bytes staged before they cross into the native module: enough for 2,000 small records, small enough for L2. */
export const STAGING_BYTES = 256 * 1024
/** The buffer's length: keys of staged records may take three bytes for a character that was counted once. */
const BUFFER_BYTES = 3 * STAGING_BYTES
/** What {@link writeAscii} returns for a key that is not. */
const WIDE = -1
/** Up to so many characters a loop is quicker than a native call. */
const LOOPED_CHARACTERS_MAX = 32

/** Records of one batch on their way into the native module. */
export class Staging {
  #bytes: Buffer | undefined
  #view: DataView | undefined
  /** The keys of all records, one behind the other. */
  #keys = ''
  /** Bytes of headers, hash keys and data. */
  length = 0
  /** Records staged. */
  count = 0

  /** The buffer: `length` bytes of records, and behind them the keys, once they were written. */
  get bytes(): Buffer {
    return this.#bytes ?? this.#grow(BUFFER_BYTES)
  }

  /** Bytes staged, where every key is ASCII; otherwise a little less than there are. */
  get size(): number {
    return this.length + this.#keys.length
  }

  /** Writes the keys behind the records; returns their length in bytes. */
  writeKeys(): number {
    const bytes = this.bytes
    const keys = this.#keys
    const units = keys.length
    const written = units <= LOOPED_CHARACTERS_MAX ? writeAscii(bytes, this.length, keys) : WIDE
    if (written !== WIDE) return written
    const keyBytes = bytes.write(keys, this.length, 'utf8')
    // Only ASCII takes a byte a character, so that in all other cases there are more bytes.
    if (keyBytes !== units) this.#correctKeyLengths(keys)
    return keyBytes
  }

  /** Replaces the characters of each key, which the headers say so far, by its bytes. */
  #correctKeyLengths(keys: string): void {
    const view = this.#view as DataView
    let start = 0
    for (let at = 0, record = 0; record < this.count; record += 1) {
      const dataBytes = view.getUint32(at, true)
      const units = view.getUint16(at + 4, true)
      view.setUint16(at + 4, Buffer.byteLength(keys.slice(start, start + units)), true)
      start += units
      at += HEADER_BYTES + dataBytes + (view.getUint16(at + 6, true) === FLAG_HASH_KEY ? HASH_KEY_BYTES : 0)
    }
  }

  /** Forgets what is staged. A buffer that one huge record asked for is let go. */
  clear(): void {
    this.length = 0
    this.#keys = ''
    this.count = 0
    if (this.#bytes !== undefined && this.#bytes.length > BUFFER_BYTES) this.#bytes = undefined
  }

  /**
   * Stages one record that {@link checkRecord} has passed: the first of a batch, or one with which the batch stays
   * within {@link STAGING_BYTES}.
   */
  add(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined, bytesMax: number): void {
    // Only the first record of a batch can find it too small.
    if (this.#bytes === undefined || this.length + bytesMax > this.#bytes.length) {
      this.#grow(Math.max(BUFFER_BYTES, bytesMax))
    }
    const bytes = this.#bytes as Buffer
    const view = this.#view as DataView
    const start = this.length
    let at = start + HEADER_BYTES
    if (hashKey !== undefined) {
      view.setBigUint64(at, hashKey >> 64n)
      view.setBigUint64(at + 8, hashKey & 0xffff_ffff_ffff_ffffn)
      at += HASH_KEY_BYTES
    }
    bytes.set(data, at)
    this.#keys += partitionKey
    view.setUint32(start, data.length, true)
    view.setUint32(start + 4, partitionKey.length | (hashKey === undefined ? 0 : FLAG_HASH_KEY << 16), true)
    this.length = at + data.length
    this.count += 1
  }

  #grow(size: number): Buffer {
    this.#bytes = Buffer.allocUnsafeSlow(size)
    this.#view = new DataView(this.#bytes.buffer)
    return this.#bytes
  }
}

/** Most bytes that a record can take in the staging buffer. */
export function stagedBytesMax(partitionKey: string, data: Uint8Array): number {
  return HEADER_BYTES + HASH_KEY_BYTES + partitionKey.length * UTF8_BYTES_PER_UNIT_MAX + data.length
}

/** Throws what is wrong with a record before anything of it is staged. */
export function checkRecord(partitionKey: string, data: Uint8Array, maxRecordBytes: number): void {
  // Nearly all records pass here; the rest is a function of its own so that the compiler inlines this one.
  const isPlain =
    typeof partitionKey === 'string' &&
    partitionKey.length > 0 &&
    partitionKey.length <= KEY_CHARACTERS_MAX &&
    partitionKey.isWellFormed() &&
    data instanceof Uint8Array &&
    // Whatever the key's encoding; only near the limit are the bytes counted.
    data.length + partitionKey.length * UTF8_BYTES_PER_UNIT_MAX <= maxRecordBytes
  if (!isPlain) checkClosely(partitionKey, data, maxRecordBytes)
}

function checkClosely(partitionKey: string, data: Uint8Array, maxRecordBytes: number): void {
  if (typeof partitionKey !== 'string') throw invalidKey(`expected a string, got ${typeof partitionKey}`)
  const units = partitionKey.length
  if (units === 0) throw invalidKey('expected 1 to 256 characters, got an empty string')
  if (units > KEY_CHARACTERS_MAX) checkLongKey(partitionKey)
  if (!partitionKey.isWellFormed()) throw invalidKey('expected well-formed Unicode, got a lone surrogate')
  if (!(data instanceof Uint8Array) && !isUint8Array(data)) {
    throw invalidArgument(`data: expected the stream's codec to make a Uint8Array, got ${describeValue(data)}`)
  }
  checkSize(partitionKey, data, maxRecordBytes)
}

/** The number in an explicit hash key. */
export function parseHashKey(value: bigint | string | undefined, name = 'explicitHashKey'): bigint | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'bigint' ? value : /^(0|[1-9]\d{0,38})$/.test(value) ? BigInt(value) : -1n
  if (number < 0n || number > HASH_KEY_MAX) {
    throw invalidArgument(`${name}: expected 0 to 2^128 - 1 as a bigint or a decimal string, got ${value}`)
  }
  return number
}

/** Writes characters and returns how many, or {@link WIDE} at the first that is not ASCII. */
function writeAscii(bytes: Buffer, at: number, text: string): number {
  const units = text.length
  for (let i = 0; i < units; i += 1) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return WIDE
    bytes[at + i] = unit
  }
  return units
}

function checkLongKey(key: string): void {
  const characters = key.length > 2 * KEY_CHARACTERS_MAX ? key.length : [...key].length
  if (characters > KEY_CHARACTERS_MAX) throw invalidKey(`expected 1 to 256 characters, got ${characters}`)
}

function checkSize(key: string, data: Uint8Array, maxRecordBytes: number): void {
  const bytes = Buffer.byteLength(key) + data.length
  if (bytes > maxRecordBytes) {
    throw new MillraceError(
      'ERR_MILLRACE_RECORD_TOO_LARGE',
      `expected key and data of at most ${maxRecordBytes} bytes together, got ${bytes}`,
    )
  }
}

function invalidKey(message: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_INVALID_KEY', `partitionKey: ${message}`)
}

function describeValue(value: unknown): string {
  return value === null ? 'null' : typeof value === 'object' ? value.constructor.name : typeof value
}
