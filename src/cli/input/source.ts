/** Where `ingest` reads from: a file or standard input, unpacked when it is gzip. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CommandFailure } from '../exit.js'

const GZIP_MAGIC = [0x1f, 0x8b] as const
const READ_BYTES = 256 * 1024

/** Bytes to be cut into records. */
export interface Source {
  /** The path, or `standard input`. */
  readonly name: string
  /** Size before unpacking; `undefined` when nobody knows. */
  readonly totalBytes: number | undefined
  /** Bytes read so far, before unpacking. */
  readonly bytesRead: () => number
  /** The bytes, unpacked. */
  readonly chunks: AsyncIterable<Buffer>
}

/** Opens `path`; `-` is standard input. */
export async function openSource(path: string, signal: AbortSignal): Promise<Source> {
  const stdin = path === '-'
  const name = stdin ? 'standard input' : path
  const totalBytes = stdin ? undefined : await fileSize(path)
  const stream: Readable = stdin ? process.stdin : createReadStream(path, { highWaterMark: READ_BYTES })
  // A signal must end a read that waits for a person to type.
  signal.addEventListener('abort', () => stream.destroy(), { once: true })
  let read = 0
  async function* counted(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        read += chunk.length
        yield chunk
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
  return { name, totalBytes, bytesRead: () => read, chunks: unpacked(counted()) }
}

async function fileSize(path: string): Promise<number | undefined> {
  try {
    const info = await stat(path)
    if (info.isDirectory()) throw new CommandFailure('EISDIR', `expected a file to read, got the directory ${path}`)
    return info.isFile() ? info.size : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new CommandFailure('ENOENT', `expected a file to read at ${path}, got nothing there`, { cause: error })
    }
    throw error
  }
}

/** Undoes gzip when the first bytes say so; names and options could be wrong, the bytes are not. */
async function* unpacked(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const first = await chunks.next()
  if (first.done === true) return
  if (first.value[0] === GZIP_MAGIC[0] && first.value[1] === GZIP_MAGIC[1]) {
    yield* gunzip(first.value, chunks)
  } else {
    yield first.value
    yield* chunks
  }
}

async function* gunzip(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  async function* all(): AsyncGenerator<Buffer> {
    yield first
    yield* rest
  }
  const packed = Readable.from(all(), { objectMode: false })
  const unpacker = createGunzip({ chunkSize: READ_BYTES })
  packed.on('error', (error) => unpacker.destroy(error))
  yield* packed.pipe(unpacker) as AsyncIterable<Buffer>
}
