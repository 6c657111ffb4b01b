/**
 * How values become the bytes of a record and back.
 *
 * A codec's name is stored in the stream, so that bytes are never read by another codec than the one that wrote
 * them. Codecs are pure: no codec keeps state between two records.
 */
import { compressSync, uncompressSync } from 'lz4-napi'
import { MillraceError, invalidArgument } from './errors.js'

/** LZ4 cannot shrink a byte sequence by more than this, so a larger stated size is a lie and not allocated. */
const LZ4_RATIO_MAX = 255

/** Turns values into bytes and back. Implement it for a format of your own. */
export interface Codec<T> {
  /** Stored in the stream and compared when it is opened: 1 to 64 characters. */
  readonly name: string
  /** The bytes of `value`. They are copied before `put` and `append` return. */
  encode(value: T): Uint8Array
  /** The value in `bytes`, which may be a view of the mapped log: copy what you keep and change. */
  decode(bytes: Uint8Array): T
}

/**
 * Bytes as they are: the default.
 *
 * @example
 * const blobs = await millrace.createStream('blobs', { codec: raw })
 */
export const raw: Codec<Uint8Array> = {
  name: 'raw',
  encode: (value) => value,
  decode: (bytes) => bytes,
}

/**
 * JSON in UTF-8. `T` is what the program expects; nothing checks it at run time.
 *
 * @example
 * interface Click { user: string; at: number }
 * const clicks = await millrace.createStream('clicks', { codec: json<Click>() })
 */
export function json<T>(): Codec<T> {
  return {
    name: 'json',
    encode(value) {
      const text = JSON.stringify(value) as string | undefined
      if (text === undefined) throw invalidArgument(`data: expected a value that JSON can hold, got ${typeof value}`)
      return Buffer.from(text)
    },
    decode: (bytes) => JSON.parse(text(bytes)) as T,
  }
}

/**
 * LZ4 around another codec, record by record: pays for records of some hundred bytes and more.
 *
 * @example
 * const pages = await millrace.createStream('pages', { codec: lz4(json<Page>()) })
 */
export function lz4(): Codec<Uint8Array>
export function lz4<T>(inner: Codec<T>): Codec<T>
export function lz4<T>(inner: Codec<T> = raw as Codec<unknown> as Codec<T>): Codec<T> {
  return {
    name: `lz4(${inner.name})`,
    encode: (value) => compressSync(buffer(inner.encode(value))),
    decode(bytes) {
      return inner.decode(unpack(buffer(bytes)))
    },
  }
}

/** What an LZ4 block holds: as many bytes as it states, or an error. */
function unpack(packed: Buffer): Buffer {
  const stated = packed.length < 4 ? undefined : packed.readUInt32LE(0)
  if (stated === undefined || stated > packed.length * LZ4_RATIO_MAX) throw notLz4(packed)
  let unpacked
  try {
    unpacked = uncompressSync(packed)
  } catch (cause) {
    throw notLz4(packed, cause)
  }
  if (unpacked.length !== stated) throw notLz4(packed)
  return unpacked
}

function notLz4(packed: Buffer, cause?: unknown): MillraceError {
  return new MillraceError('ERR_MILLRACE_CORRUPT', `expected an LZ4 block, got ${packed.length} other bytes`, { cause })
}

/** Throws when a stream that was created with one codec is opened with another. */
export function checkCodec(stream: string, stored: string, codec: Codec<unknown>): void {
  if (stored === codec.name) return
  throw invalidArgument(`codec: stream '${stream}' was created with '${stored}', got '${codec.name}'`)
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function text(bytes: Uint8Array): string {
  return buffer(bytes).toString('utf8')
}
