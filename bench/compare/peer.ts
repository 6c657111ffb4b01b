/**
 * What every peer is to this comparison: a log that records are appended to, that can be replayed, and that may tell of
 * new records. One file below `peers/` for each.
 *
 * - A peer does the work in the quickest way that its own documentation shows for Node, and declares what its
 *   acknowledgement promises; only peers with the same promise stand beside each other in an append.
 * - It stores key and data of each record, and a replay touches both, unless `framing` says what is missing.
 * - Clients are imported when a peer is opened, because each of them may be absent.
 */
import type { Limits } from '../limits.js'
import type { Server, Servers } from './servers.js'
import { Unavailable } from './unavailable.js'

/** What an acknowledgement promises: nothing beyond the process, the page cache, or the disk. */
export type Promised = 'memory' | 'os' | 'synced'

/** One record, in the form that costs no peer a conversion: data is a `Buffer`, which all clients take. */
export interface Entry {
  readonly partitionKey: string
  readonly data: Buffer
}

/** Records that are handed over together. */
export type Entries = readonly Entry[]

/** Where peers keep their data, and what they run. */
export interface Place {
  /** A folder of this run; what a peer stores lies in it. */
  readonly directory: string
  readonly servers: Servers
  readonly limits: Limits
}

/** What a replay went through. */
export interface Replayed {
  readonly records: number
  /** Bytes of data and characters of keys: the proof that both were touched. */
  readonly bytes: number
  /** From when the reader was ready; joining a consumer group is not part of it. */
  readonly milliseconds: number
}

/** Ends a subscription. */
export type Unsubscribe = () => void | Promise<void>

/** An open log. */
export interface Log {
  /** Hands records over; a promise says when there is room for more, or that these are acknowledged. */
  append(entries: Entries): void | Promise<void>
  /** Resolves when everything that was handed over is acknowledged. */
  flush(): void | Promise<void>
  /** Hands over one record and resolves when it is acknowledged. */
  put(entry: Entry): void | Promise<void>
  /** Reads the oldest `records` records, or all where there are fewer. */
  replay(records: number): Promise<Replayed>
  /** Calls back with the data of each record that is appended from now on. */
  subscribe?(onData: (data: Uint8Array) => void): Promise<Unsubscribe>
  /** Frees what was stored without a trace on the clock of whoever comes next, where the peer can. */
  recycle?(): void
  close(): void | Promise<void>
}

/** A peer at one setting. */
export interface Peer {
  /** Unique, with the setting that decides the promise. */
  readonly name: string
  /** What `--peer` looks at; peers of one product share it. */
  readonly product: string
  readonly promised: Promised
  readonly runs: 'in process' | 'as a server'
  /** Batches that are handed over before the first is acknowledged, for the best rate of this peer. */
  readonly window: number
  /** Records a batch of its own, where 500 are more than the peer takes. */
  readonly batch?: number
  /** What the peer does less than the others. */
  readonly framing?: string
  /** Opens the log of this name below the place; makes it where it is not there. */
  open(place: Place, name: string): Promise<Log>
  /** The peer's server, for what only a server process shows; absent in process. */
  readonly server?: (place: Place) => Promise<Server>
}

/** The module that `load` imports, or the reason why it is not there. */
export async function client<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    throw new Unavailable(`npm package ${name} is not installed or does not load: ${firstLine(error)}`)
  }
}

/** The first line of an error, for one line of a table. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error)
  return text.split('\n')[0]?.slice(0, 200) ?? ''
}

/** Key and data of a record as one value, for peers whose values are bytes: a byte with the key's length first. */
export function pack({ partitionKey, data }: Entry): Buffer {
  const packed = Buffer.allocUnsafe(1 + partitionKey.length + data.length)
  packed[0] = partitionKey.length
  packed.write(partitionKey, 1, 'latin1')
  packed.set(data, 1 + partitionKey.length)
  return packed
}

/** Touches a packed record as a replay has to: the length of its data, and the key as a string. */
export function touchPacked(packed: Buffer): number {
  const keyBytes = packed[0] ?? 0
  return packed.length - 1 - keyBytes + latin1(packed, 1, 1 + keyBytes).length
}

/** The quickest way to a short string, which the types of Node leave out. */
export function latin1(bytes: Buffer, from = 0, to = bytes.length): string {
  return (bytes as Buffer & { latin1Slice(from: number, to: number): string }).latin1Slice(from, to)
}
