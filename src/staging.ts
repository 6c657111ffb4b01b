/**
 * The staging buffer: records in the layout that the native `append` takes, so that one call carries thousands.
 *
 * A staged record is, little endian: data length u32, key length u16, flags u16 (bit 0: an explicit hash key
 * follows), the 16-byte big-endian hash key if there is one, the key in UTF-8, the data. The native side checks all
 * of it again; the checks here only give the caller an error at the call that caused it.
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

/** Records of one batch on their way into the native module. */
export class Staging {
  #bytes: Buffer | undefined
  #view: DataView | undefined
  /** Bytes staged. */
  length = 0
  /** Records staged. */
  count = 0

  /** The buffer; only the first `length` bytes mean something. */
  get bytes(): Buffer {
    return this.#bytes ?? this.#grow(STAGING_BYTES)
  }

  /** Forgets what is staged. A buffer that one huge record asked for is let go. */
  clear(): void {
    this.length = 0
    this.count = 0
    if (this.#bytes !== undefined && this.#bytes.length > STAGING_BYTES) this.#bytes = undefined
  }

  /** Whether a record of up to `bytesMax` bytes still fits; if not, submit what is staged first. */
  fits(bytesMax: number): boolean {
    return this.length === 0 || this.length + bytesMax <= STAGING_BYTES
  }

  /** Stages one record that {@link checkRecord} has passed and that {@link fits}. */
  add(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined, bytesMax: number): void {
    if (this.#bytes === undefined || this.length + bytesMax > this.#bytes.length) {
      this.#grow(Math.max(STAGING_BYTES, bytesMax))
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
    const keyBytes = writeKey(bytes, at, partitionKey)
    at += keyBytes
    bytes.set(data, at)
    view.setUint32(start, data.length, true)
    view.setUint32(start + 4, keyBytes | (hashKey === undefined ? 0 : FLAG_HASH_KEY << 16), true)
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
  if (typeof partitionKey !== 'string') throw invalidKey(`expected a string, got ${typeof partitionKey}`)
  const units = partitionKey.length
  if (units === 0) throw invalidKey('expected 1 to 256 characters, got an empty string')
  if (units > KEY_CHARACTERS_MAX) checkLongKey(partitionKey)
  if (!(data instanceof Uint8Array) && !isUint8Array(data)) {
    throw invalidArgument(`data: expected the stream's codec to make a Uint8Array, got ${describeValue(data)}`)
  }
  // Most records are far below the limit whatever their key's encoding; only near it are the bytes counted.
  if (data.length + units * UTF8_BYTES_PER_UNIT_MAX > maxRecordBytes) checkSize(partitionKey, data, maxRecordBytes)
}

/** The number in an explicit hash key. */
export function parseHashKey(value: bigint | string | undefined): bigint | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'bigint' ? value : /^(0|[1-9]\d{0,38})$/.test(value) ? BigInt(value) : -1n
  if (number < 0n || number > HASH_KEY_MAX) {
    throw invalidArgument(`explicitHashKey: expected 0 to 2^128 - 1 as a bigint or a decimal string, got ${value}`)
  }
  return number
}

/** Writes the key and returns its bytes. Short ASCII keys, nearly all, are quicker by a loop than by a native call. */
function writeKey(bytes: Buffer, at: number, key: string): number {
  const units = key.length
  for (let i = 0; i < units; i += 1) {
    const unit = key.charCodeAt(i)
    if (unit > 0x7f) return writeWideKey(bytes, at, key)
    bytes[at + i] = unit
  }
  return units
}

function writeWideKey(bytes: Buffer, at: number, key: string): number {
  if (/\p{Surrogate}/u.test(key)) throw invalidKey('expected well-formed Unicode, got a lone surrogate')
  return bytes.write(key, at, 'utf8')
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
