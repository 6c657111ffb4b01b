/**
 * Records that carry their own proof: who wrote them, as which, and bytes that anybody can make again from that.
 *
 * ```text
 * 0          4         8        10        12
 * | producer | counter | keys    | zeros   | bytes out of the pool … |
 * ```
 * A producer numbers its records 0, 1, 2 … and writes record `n` under its key `n % keys`. So each of its keys has a
 * known series of numbers, and a reader sees at once what is missing, repeated, changed or out of order.
 */
import { Random } from './random.js'

const HEADER_BYTES = 12
const POOL_BYTES = 1 << 20
/** The longest body, in bytes. */
export const BODY_BYTES_MAX = 200_000
/** More keys than this no producer has. */
export const KEYS_MAX = 400

/** What stands in a record. */
export interface Origin {
  readonly producer: number
  readonly counter: number
  readonly keys: number
}

/** Makes and checks the records of one seed. */
export class Payloads {
  readonly #pool: Buffer

  constructor(seed: number) {
    const random = new Random(seed, 'payload')
    this.#pool = Buffer.alloc(POOL_BYTES)
    for (let at = 0; at < POOL_BYTES; at += 4) this.#pool.writeUInt32LE(random.whole(0, 0xffff_ffff), at)
  }

  /** The data of a record. */
  make({ producer, counter, keys }: Origin): Buffer {
    const body = this.#body(producer, counter)
    const data = Buffer.allocUnsafe(HEADER_BYTES + body.length)
    data.writeUInt32LE(producer, 0)
    data.writeUInt32LE(counter, 4)
    data.writeUInt16LE(keys, 8)
    data.writeUInt16LE(0, 10)
    body.copy(data, HEADER_BYTES)
    return data
  }

  /** Where a record comes from; throws what is wrong with it if it is none of ours, byte for byte. */
  check(partitionKey: string, bytes: Uint8Array): Origin {
    const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (data.length < HEADER_BYTES) throw new Error(`a record of ${data.length} bytes, which nobody wrote`)
    const origin = { producer: data.readUInt32LE(0), counter: data.readUInt32LE(4), keys: data.readUInt16LE(8) }
    const body = this.#body(origin.producer, origin.counter)
    const name = `record ${origin.counter} of producer ${origin.producer}`
    if (origin.keys === 0 || origin.keys > KEYS_MAX || partitionKey !== keyOf(origin)) {
      throw new Error(`${name} came under the key ${JSON.stringify(partitionKey)}`)
    }
    if (!body.equals(data.subarray(HEADER_BYTES))) throw new Error(`${name} has other bytes than were written`)
    return origin
  }

  /** Mostly small, sometimes large, now and then huge: chosen by the record's own numbers. */
  #body(producer: number, counter: number): Buffer {
    const mixed = Math.imul(Math.imul(producer ^ 0x5bd1_e995, 0x85eb_ca6b) ^ counter, 0xc2b2_ae35) >>> 0
    const kind = mixed % 1000
    const bytes = kind < 2 ? mixed % BODY_BYTES_MAX : kind < 30 ? mixed % 20_000 : mixed % 300
    const start = (mixed >>> 8) % (POOL_BYTES - BODY_BYTES_MAX)
    return this.#pool.subarray(start, start + bytes)
  }
}

/** The key of a record. Every seventh producer writes beyond ASCII. */
export function keyOf({ producer, counter, keys }: Origin): string {
  return `${producer % 7 === 0 ? 'ключ' : 'key'}-${producer}-${counter % keys}`
}
