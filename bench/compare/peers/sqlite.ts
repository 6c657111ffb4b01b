/** SQLite by better-sqlite3: a table in WAL mode, one transaction a batch. */
import { join } from 'node:path'
import type { Database, Statement } from 'better-sqlite3'
import { client, type Entries, type Entry, type Log, type Peer, type Replayed } from '../peer.js'

/** NORMAL does not sync at a commit, FULL does. */
export function sqlitePeers(): Peer[] {
  return [peer('SQLite WAL, NORMAL', 'os', 'NORMAL'), peer('SQLite WAL, FULL', 'synced', 'FULL')]
}

function peer(name: string, promised: 'os' | 'synced', synchronous: 'NORMAL' | 'FULL'): Peer {
  return {
    name,
    product: 'sqlite',
    promised,
    runs: 'in process',
    window: 1,
    open: async ({ directory }, log) => {
      const { default: Sqlite } = await client('better-sqlite3', () => import('better-sqlite3'))
      const database = new Sqlite(join(directory, `${log}.sqlite`))
      database.pragma('journal_mode = WAL')
      database.pragma(`synchronous = ${synchronous}`)
      database.exec('CREATE TABLE IF NOT EXISTS log (sequence INTEGER PRIMARY KEY, key TEXT, data BLOB)')
      return new SqliteLog(database)
    },
  }
}

/** A row of the table without its number. */
type RawRow = [key: string, data: Buffer]

class SqliteLog implements Log {
  readonly #database: Database
  readonly #insert: Statement<[string, Buffer]>
  readonly #insertAll: (entries: Entries) => void

  constructor(database: Database) {
    this.#database = database
    this.#insert = database.prepare<[string, Buffer]>('INSERT INTO log (key, data) VALUES (?, ?)')
    this.#insertAll = database.transaction((entries: Entries) => {
      for (const { partitionKey, data } of entries) this.#insert.run(partitionKey, data)
    })
  }

  append(entries: Entries): void {
    this.#insertAll(entries)
  }

  flush(): void {}

  put({ partitionKey, data }: Entry): void {
    this.#insert.run(partitionKey, data)
  }

  async replay(records: number): Promise<Replayed> {
    const started = performance.now()
    const select = this.#database.prepare('SELECT key, data FROM log ORDER BY sequence LIMIT ?').raw()
    let read = 0
    let bytes = 0
    for (const row of select.iterate(records)) {
      const [key, data] = row as RawRow
      bytes += data.length + key.length
      read += 1
    }
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  close(): void {
    this.#database.close()
  }
}
