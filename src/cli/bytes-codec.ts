/**
 * Streams as the command line sees them: bytes, whatever codec a program gave them.
 *
 * A codec of which only the name is known passes bytes through unchanged; LZ4 is undone, so that `tail` shows and
 * `put` takes what is inside.
 */
import { json, lz4, type Codec } from '../index.js'
import { CommandFailure } from './exit.js'

/** A codec of bytes that goes by the name stored in the stream. */
export function bytesCodec(name: string): Codec<Uint8Array> {
  const inner = /^lz4\((.*)\)$/s.exec(name)?.[1]
  if (inner !== undefined) return lz4(bytesCodec(inner))
  if (name === json().name) return { name, encode: checkedJson, decode: (data) => data }
  return { name, encode: (data) => data, decode: (data) => data }
}

/** Readers of a JSON stream parse each record: what is no JSON must not get into it. */
function checkedJson(data: Uint8Array): Uint8Array {
  try {
    JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
  } catch (error) {
    throw new CommandFailure('ERR_NOT_JSON', `expected JSON, because the stream's codec is 'json': ${String(error)}`, {
      cause: error,
    })
  }
  return data
}
