/**
 * What was written, or read, per key: how many records, and one checksum over all of them in their order.
 *
 * Two ledgers are equal only if both sides saw the same records of each key in the same order.
 */
import { crc32 } from 'node:zlib'

interface Entry {
  records: number
  /** CRC-32 of the records' data one after the other. */
  checksum: number
}

/** Counts and order checksums by key. */
export class Ledger {
  readonly #entries = new Map<string, Entry>()
  /** Records of all keys. */
  records = 0
  /** Bytes of data of all keys. */
  bytes = 0

  /** Number of keys. */
  get keys(): number {
    return this.#entries.size
  }

  /** Adds the next record of `key`. */
  add(key: string, data: Uint8Array): void {
    this.records += 1
    this.bytes += data.length
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      this.#entries.set(key, { records: 1, checksum: crc32(data) })
    } else {
      entry.records += 1
      entry.checksum = crc32(data, entry.checksum)
    }
  }

  /** Keys whose count or checksum differs from `other`'s, in either direction. */
  differences(other: Ledger): string[] {
    const keys = new Set([...this.#entries.keys(), ...other.#entries.keys()])
    return [...keys].filter((key) => {
      const mine = this.#entries.get(key)
      const theirs = other.#entries.get(key)
      return mine?.records !== theirs?.records || mine?.checksum !== theirs?.checksum
    })
  }
}
