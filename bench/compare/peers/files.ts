/**
 * Plain files through `fs`, the honest rival: 500 records copied together and written in one call. No keys, no framing,
 * no index, no check, so it bounds what any log can do from JavaScript.
 */
import { closeSync, fdatasyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { MIB } from '../../bench.js'
import type { Entries, Entry, Log, Peer, Place, Replayed } from '../peer.js'

/** A pre-written file is rewritten in a circle of this size. */
const REWRITTEN_BYTES = 256 * MIB

/** Bytes that one read of a replay takes. */
const READ_BYTES = MIB

/** What a writer of plain files does. */
interface Writing {
  readonly sync: 'never' | 'each write'
  readonly file: 'growing' | 'rewritten'
}

/** Without a sync, and with one into a growing and into a pre-written file. */
export function filePeers(): Peer[] {
  return [
    peer('fs.writeSync', { sync: 'never', file: 'growing' }),
    peer('fs + fdatasync, growing', { sync: 'each write', file: 'growing' }),
    peer('fs + fdatasync, pre-written', { sync: 'each write', file: 'rewritten' }),
  ]
}

function peer(name: string, writing: Writing): Peer {
  return {
    name,
    product: 'fs',
    promised: writing.sync === 'never' ? 'os' : 'synced',
    runs: 'in process',
    window: 1,
    framing: 'no keys, no framing, no index, no checksums',
    open: async (place, log) => new PlainFile(place, log, writing),
  }
}

class PlainFile implements Log {
  readonly #file: number
  readonly #writing: Writing
  readonly #end: number
  #staging = Buffer.alloc(0)
  #offset = 0
  #recordBytes = 1

  constructor({ directory, limits }: Place, name: string, writing: Writing) {
    const path = join(directory, `${name}.plain`)
    limits.prepareFile(path, writing.file, REWRITTEN_BYTES)
    this.#file = openSync(path, 'r+')
    this.#writing = writing
    this.#end = writing.file === 'rewritten' ? REWRITTEN_BYTES : Number.POSITIVE_INFINITY
  }

  append(entries: Entries): void {
    this.#recordBytes = entries[0]?.data.length ?? 1
    const bytes = entries.length * this.#recordBytes
    if (this.#staging.length < bytes) this.#staging = Buffer.alloc(bytes)
    for (let i = 0, at = 0; i < entries.length; i++, at += this.#recordBytes) this.#staging.set(entries[i]!.data, at)
    if (this.#offset + bytes > this.#end) this.#offset = 0
    writeSync(this.#file, this.#staging, 0, bytes, this.#offset)
    if (this.#writing.sync === 'each write') fdatasyncSync(this.#file)
    this.#offset += bytes
  }

  flush(): void {}

  put(entry: Entry): void {
    this.append([entry])
  }

  async replay(records: number): Promise<Replayed> {
    const started = performance.now()
    const staging = Buffer.alloc(READ_BYTES - (READ_BYTES % this.#recordBytes))
    let read = 0
    let bytes = 0
    for (let at = 0; at < this.#offset && read < records; at += staging.length) {
      const end = readSync(this.#file, staging, 0, staging.length, at)
      for (let place = 0; place < end; place += this.#recordBytes, read++) {
        bytes += staging.subarray(place, place + this.#recordBytes).length
      }
    }
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  /** Dirty pages of a file that is cut never reach the disk, so that the next peer does not wait for them. */
  recycle(): void {
    if (this.#writing.file === 'growing') ftruncateSync(this.#file, 0)
    this.#offset = 0
  }

  close(): void {
    closeSync(this.#file)
  }
}
