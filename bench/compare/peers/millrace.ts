/**
 * Millrace itself, as it is built at the repository's root. Four shards, so that keys are hashed and records grouped,
 * which no peer has to do.
 */
import { join } from 'node:path'
// The package by its place: this folder has a manifest of its own, so that the package's name does not lead here.
import { type Batch, Millrace, type Stream } from '../../../dist/index.js'
import type { Entries, Entry, Log, Peer, Place, Replayed, Unsubscribe } from '../peer.js'

const SHARDS = 4
const STREAM = 'main'

/** Both promises. */
export function millracePeers(): Peer[] {
  return (['os', 'synced'] as const).map((promised): Peer => {
    const name = `Millrace, ${promised}`
    const open = (place: Place, log: string) => MillraceLog.open(join(place.directory, log), promised)
    return { name, product: 'millrace', promised, runs: 'in process', window: 1, open }
  })
}

class MillraceLog implements Log {
  readonly #millrace: Millrace
  readonly #stream: Stream<Uint8Array>

  private constructor(millrace: Millrace, stream: Stream<Uint8Array>) {
    this.#millrace = millrace
    this.#stream = stream
  }

  static async open(directory: string, durability: 'os' | 'synced'): Promise<MillraceLog> {
    const millrace = await Millrace.open(directory)
    const stream = await millrace.createStream(STREAM, { shards: SHARDS, durability, ifNotExists: true })
    return new MillraceLog(millrace, stream)
  }

  append(entries: Entries): void | Promise<void> {
    const next = this.#stream.appendMany(entries)
    if (next < entries.length) return this.#appendRest(entries, next)
  }

  async #appendRest(entries: Entries, from: number): Promise<void> {
    for (let next = from; next < entries.length; next = this.#stream.appendMany(entries, next)) {
      await this.#stream.drain()
    }
  }

  flush(): Promise<void> {
    return this.#stream.flush()
  }

  async put(entry: Entry): Promise<void> {
    await this.#stream.put(entry)
  }

  async replay(records: number): Promise<Replayed> {
    const started = performance.now()
    let read = 0
    let bytes = 0
    for await (const batch of this.#stream.read({ from: 'TRIM_HORIZON', follow: false })) {
      bytes += touch(batch)
      read += batch.length
      if (read >= records) break
    }
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  async subscribe(onData: (data: Uint8Array) => void): Promise<Unsubscribe> {
    const reader = this.#stream.read({ from: 'LATEST' })
    const reading = (async () => {
      for await (const batch of reader) {
        for (let i = 0; i < batch.length; i++) onData(batch.data(i))
      }
    })()
    return async () => {
      reader[Symbol.dispose]()
      await reading
    }
  }

  close(): Promise<void> {
    return this.#millrace.close()
  }
}

function touch(batch: Batch<Uint8Array>): number {
  let bytes = 0
  for (let i = 0; i < batch.length; i++) bytes += batch.dataLength(i) + batch.partitionKey(i).length
  return bytes
}
