/** LMDB by lmdb-js: an ordered map in a memory-mapped file; the key of an entry is its number in the log. */
import { join } from 'node:path'
import type { RootDatabase } from 'lmdb'
import { client, type Entries, type Entry, type Log, pack, type Peer, type Replayed, touchPacked } from '../peer.js'

/** Batches on their way to the disk together; more of them brought no more. */
const WINDOW = 8

/** Without a sync, and acknowledged when flushed. */
export function lmdbPeers(): Peer[] {
  return [
    { ...peer('lmdb, no sync', 'os'), window: 1 },
    { ...peer('lmdb, flushed', 'synced'), window: WINDOW },
  ]
}

function peer(name: string, promised: 'os' | 'synced'): Omit<Peer, 'window'> {
  return {
    name,
    product: 'lmdb',
    promised,
    runs: 'in process',
    open: async ({ directory }, log) => {
      const { open } = await client('lmdb', () => import('lmdb'))
      const path = join(directory, `${log}.lmdb`)
      const options = { path, encoding: 'binary', keyEncoding: 'uint32', noSync: promised === 'os' } as const
      return new LmdbLog(open<Buffer, number>(options), promised)
    },
  }
}

class LmdbLog implements Log {
  readonly #map: RootDatabase<Buffer, number>
  readonly #promised: 'os' | 'synced'
  #next: number

  constructor(map: RootDatabase<Buffer, number>, promised: 'os' | 'synced') {
    this.#map = map
    this.#promised = promised
    const [last = 0] = map.getKeys({ reverse: true, limit: 1 })
    this.#next = last + 1
  }

  append(entries: Entries): void | Promise<void> {
    if (this.#promised === 'os') return this.#map.transactionSync(() => this.#putAll(entries))
    this.#putAll(entries)
    return this.#flushed()
  }

  #putAll(entries: Entries): void {
    for (const entry of entries) {
      // The promise is not looked at: it settles with the batch, which is waited for as a whole.
      if (this.#promised === 'os') this.#map.putSync(this.#next, pack(entry), { append: true })
      else void this.#map.put(this.#next, pack(entry))
      this.#next += 1
    }
  }

  async #flushed(): Promise<void> {
    await this.#map.flushed
  }

  flush(): void | Promise<void> {
    if (this.#promised === 'synced') return this.#flushed()
  }

  put(entry: Entry): void | Promise<void> {
    return this.append([entry])
  }

  async replay(records: number): Promise<Replayed> {
    const started = performance.now()
    let read = 0
    let bytes = 0
    for (const { value } of this.#map.getRange({ limit: records })) {
      bytes += touchPacked(value)
      read += 1
    }
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  close(): Promise<void> {
    return this.#map.close()
  }
}
