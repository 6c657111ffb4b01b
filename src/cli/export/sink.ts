/**
 * Where an export goes: a file that appears whole or not at all, or standard output.
 *
 * The file is written under its name with `.unfinished` behind it, in gzip when its name ends in `.gz`, synced, and
 * renamed. What an interrupted export leaves is removed by it, or written over by the next.
 */
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Output } from '../output.js'

/** Takes bytes and lines. */
export interface Sink {
  /** Takes more; resolves when there is room for the next. */
  write(bytes: Uint8Array | string): Promise<void>
  /** All of it is where it belongs when this resolves. */
  commit(): Promise<void>
  /** Leaves nothing behind. */
  abandon(): Promise<void>
}

/** Writes to standard output. */
export class StandardOutput implements Sink {
  readonly #out: Output

  constructor(out: Output) {
    this.#out = out
  }

  async write(text: string): Promise<void> {
    this.#out.text(text)
    await this.#out.flush()
  }

  async commit(): Promise<void> {
    await this.#out.flush()
  }

  async abandon(): Promise<void> {}
}

/** Writes a file. */
export class OutputFile implements Sink {
  readonly #path: string
  readonly #unfinished: string
  readonly #file: WriteStream
  /** The file, or what packs for it. */
  readonly #stream: Writable
  /** Rejects with the first fault of either. */
  readonly #ended: Promise<unknown>
  #closed = false

  private constructor(path: string, unfinished: string, file: WriteStream) {
    this.#path = path
    this.#unfinished = unfinished
    this.#file = file
    const packer = path.endsWith('.gz') ? createGzip() : undefined
    packer?.pipe(file)
    this.#stream = packer ?? file
    this.#ended = Promise.all([finished(file), packer === undefined ? undefined : finished(packer)])
    // A fault is reported by the call that comes upon it.
    this.#ended.catch(() => {})
  }

  /** Begins to write what will be the file at `path`. */
  static async create(path: string): Promise<OutputFile> {
    const unfinished = `${path}.unfinished`
    const file = createWriteStream(unfinished, { flush: true })
    await once(file, 'open')
    return new OutputFile(path, unfinished, file)
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.#stream.write(bytes)) return
    await Promise.race([once(this.#stream, 'drain'), this.#ended])
  }

  async commit(): Promise<void> {
    this.#stream.end()
    await this.#ended
    this.#closed = true
    await rename(this.#unfinished, this.#path)
    await syncFolder(dirname(this.#path))
  }

  async abandon(): Promise<void> {
    if (!this.#closed) {
      this.#file.destroy()
      await this.#ended.catch(() => {})
    }
    await rm(this.#unfinished, { force: true })
  }
}

/** Makes the new name durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
