/** LevelDB by classic-level: the key of an entry is its number, eight bytes that sort. */
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { client, type Entries, type Entry, type Log, pack, type Peer, type Replayed, touchPacked } from '../peer.js'

/** Batches on their way together; LevelDB groups what waits. */
const WINDOW = 4

/** Entries that one crossing of a replay brings. */
const READ_ENTRIES = 1000

/** With `sync`, and without. */
export function levelPeers(): Peer[] {
  return [peer('LevelDB, no sync', 'os'), peer('LevelDB, sync', 'synced')]
}

function peer(name: string, promised: 'os' | 'synced'): Peer {
  return {
    name,
    product: 'level',
    promised,
    runs: 'in process',
    window: WINDOW,
    open: async ({ directory }, log) => {
      const { ClassicLevel } = await client('classic-level', () => import('classic-level'))
      const options = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const
      const level = new ClassicLevel<Buffer, Buffer>(join(directory, `${log}.level`), options)
      await level.open()
      const [last] = await level.keys({ reverse: true, limit: 1 }).all()
      return new LevelLog(level, promised === 'synced', last === undefined ? 0n : last.readBigUInt64BE() + 1n)
    },
  }
}

class LevelLog implements Log {
  readonly #level: ClassicLevel<Buffer, Buffer>
  readonly #sync: boolean
  #next: number

  constructor(level: ClassicLevel<Buffer, Buffer>, sync: boolean, next: bigint) {
    this.#level = level
    this.#sync = sync
    this.#next = Number(next)
  }

  append(entries: Entries): Promise<void> {
    const puts = entries.map((entry) => ({ type: 'put', key: this.#key(), value: pack(entry) }) as const)
    return this.#level.batch(puts, { sync: this.#sync })
  }

  #key(): Buffer {
    const key = Buffer.allocUnsafe(8)
    key.writeUInt32BE(Math.floor(this.#next / 2 ** 32), 0)
    key.writeUInt32BE(this.#next >>> 0, 4)
    this.#next += 1
    return key
  }

  flush(): void {}

  put(entry: Entry): Promise<void> {
    return this.#level.put(this.#key(), pack(entry), { sync: this.#sync })
  }

  async replay(records: number): Promise<Replayed> {
    const started = performance.now()
    const iterator = this.#level.values({ limit: records })
    let read = 0
    let bytes = 0
    for (;;) {
      const values = await iterator.nextv(READ_ENTRIES)
      if (values.length === 0) break
      for (const value of values) bytes += touchPacked(value)
      read += values.length
    }
    await iterator.close()
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  close(): Promise<void> {
    return this.#level.close()
  }
}
