/**
 * One followed file: read from a position on, known again under any name, and watched for truncation.
 *
 * A file is known by device and inode while it is the same file, and by its beginning: whoever truncates a file and
 * writes on keeps the inode, and whoever copies it keeps the beginning. The beginning is that of what was read
 * before, so that it is there however little the file holds.
 */
import { createHash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'

const READ_BYTES = 256 * 1024
/** Enough that no two logs begin alike once a time stands in their lines. */
const BEGINNING_BYTES_MAX = 1024

/** Where in which file reading goes on. */
export interface FilePlace {
  readonly device: string
  readonly inode: string
  /** Bytes before this one are done with. */
  readonly offset: number
  /** The file's beginning: how many bytes of it, and their SHA-256. */
  readonly beginning: { readonly bytes: number; readonly sha256: string }
}

/** What a step of reading came to. */
export type Step =
  | { readonly is: 'bytes'; readonly bytes: Buffer }
  | { readonly is: 'end' }
  | { readonly is: 'truncated' }

/** An open file that is being read. */
export class FollowedFile {
  readonly path: string
  readonly device: string
  readonly inode: string
  readonly #handle: FileHandle
  #position = 0
  /** The first bytes of the file, as far as they were read. */
  #beginning: Buffer = Buffer.alloc(0)

  private constructor(path: string, handle: FileHandle, device: string, inode: string) {
    this.path = path
    this.#handle = handle
    this.device = device
    this.inode = inode
  }

  /** Opens the file at `path`; `undefined` when there is none. */
  static async open(path: string): Promise<FollowedFile | undefined> {
    let handle: FileHandle
    try {
      handle = await open(path, 'r')
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
    const { dev, ino, isFile } = await describe(handle)
    if (isFile) return new FollowedFile(path, handle, dev, ino)
    await handle.close()
    throw Object.assign(new Error(`expected a file to follow, got a folder or a device at ${path}`), {
      code: 'ENOTSUP',
    })
  }

  /** Bytes that have been read. */
  get position(): number {
    return this.#position
  }

  /** The file's size in bytes now. */
  async size(): Promise<number> {
    return (await describe(this.#handle)).size
  }

  /** Goes on at `offset`, which lies in the file: what comes before it is taken for read. */
  async seek(offset: number): Promise<void> {
    this.#beginning = await this.#readAt(0, Math.min(offset, BEGINNING_BYTES_MAX))
    this.#position = offset
  }

  /** Whether the file begins as `place` says and reaches to its offset. */
  async holds({ offset, beginning }: FilePlace): Promise<boolean> {
    if ((await this.size()) < offset) return false
    return sha256(await this.#readAt(0, beginning.bytes)) === beginning.sha256
  }

  /**
   * The next bytes. They are handed over only when the file is seen untruncated after they were read: then they were
   * read before it.
   */
  async next(): Promise<Step> {
    const bytes = await this.#readAt(this.#position, READ_BYTES)
    if (await this.#isTruncated()) return { is: 'truncated' }
    if (bytes.length === 0) return { is: 'end' }
    const missing = BEGINNING_BYTES_MAX - this.#position
    if (missing > 0) this.#beginning = Buffer.concat([this.#beginning, bytes.subarray(0, missing)])
    this.#position += bytes.length
    return { is: 'bytes', bytes }
  }

  /** The place `pendingBytes` before the position. */
  place(pendingBytes: number): FilePlace {
    const offset = this.#position - pendingBytes
    const beginning = this.#beginning.subarray(0, offset)
    return {
      device: this.device,
      inode: this.inode,
      offset,
      beginning: { bytes: beginning.length, sha256: sha256(beginning) },
    }
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    await this.#handle.close()
  }

  async #isTruncated(): Promise<boolean> {
    if ((await this.size()) < this.#position) return true
    return !(await this.#readAt(0, this.#beginning.length)).equals(this.#beginning)
  }

  /** Up to `length` bytes from `offset` on: as many as there are. */
  async #readAt(offset: number, length: number): Promise<Buffer> {
    const { buffer, bytesRead } = await this.#handle.read(Buffer.allocUnsafe(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  }
}

/** Whether there is nothing at a path. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

async function describe(handle: FileHandle): Promise<{ dev: string; ino: string; size: number; isFile: boolean }> {
  const stats = await handle.stat({ bigint: true })
  return { dev: String(stats.dev), ino: String(stats.ino), size: Number(stats.size), isFile: stats.isFile() }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
