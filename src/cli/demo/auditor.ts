/** Holds what was acknowledged against what the stream holds, record by record. */
import type { Batch, Stream } from '../../index.js'
import { WITNESS_KEYS, witnessKey, witnessText, type Acknowledgement } from './witness.js'

/** What is known of one round. */
class Round {
  readonly acknowledged = new Set<number>()
  /** Where the last record of each acknowledged call stands, by the record's number. */
  readonly places = new Map<number, string>()
  /** Highest number seen of each key in the audit under way. */
  lastOfKey = new Int32Array(WITNESS_KEYS).fill(-1)
  seen = new Set<number>()
}

/** Audits all rounds so far, each time anew from the first record on. */
export class Auditor {
  readonly #rounds: Round[] = []
  /** Acknowledged records that the last audit did not find. */
  lost = 0
  /** Records whose bytes or key are not what the child wrote. */
  damaged = 0
  /** Records found a second time. */
  duplicated = 0
  /** Records found behind a later one of their key. */
  disordered = 0
  /** Acknowledged sequence numbers under which the last audit found another record. */
  misplaced = 0
  /** Records that the last audit found whole without an acknowledgement: allowed, the child died before it told. */
  unconfirmed = 0

  /** Records acknowledged in all rounds. */
  get acknowledged(): number {
    return this.#rounds.reduce((sum, round) => sum + round.acknowledged.size, 0)
  }

  /** Records acknowledged in one round. */
  acknowledgedIn(round: number): number {
    return this.#rounds[round]?.acknowledged.size ?? 0
  }

  /** Takes down what a child was promised in `round`. */
  acknowledge(round: number, acknowledgements: readonly Acknowledgement[]): void {
    const known = (this.#rounds[round] ??= new Round())
    for (const { first, count, shardId, sequenceNumber } of acknowledgements) {
      for (let number = first; number < first + count; number += 1) known.acknowledged.add(number)
      known.places.set(first + count - 1, `${shardId} ${sequenceNumber}`)
    }
  }

  /** Reads the whole stream; returns the number of records in it. */
  async audit(stream: Stream, signal: AbortSignal): Promise<number> {
    for (const round of this.#rounds) {
      round.seen = new Set()
      round.lastOfKey.fill(-1)
    }
    this.damaged = 0
    this.duplicated = 0
    this.disordered = 0
    this.misplaced = 0
    let found = 0
    for await (const batch of stream.read({ from: 'TRIM_HORIZON', follow: false, signal })) {
      found += batch.length
      for (let i = 0; i < batch.length; i += 1) this.#inspect(batch, i)
    }
    this.#settle()
    return found
  }

  #inspect(batch: Batch, index: number): void {
    const data = batch.data(index)
    const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')
    const [roundText, numberText] = text.split(' ', 2)
    const number = Number(numberText)
    const round = this.#rounds[Number(roundText)]
    if (
      round === undefined ||
      text !== witnessText(Number(roundText), number) ||
      batch.partitionKey(index) !== witnessKey(number)
    ) {
      this.damaged += 1
      return
    }
    if (round.seen.has(number)) this.duplicated += 1
    round.seen.add(number)
    const key = number % WITNESS_KEYS
    if ((round.lastOfKey[key] as number) >= number) this.disordered += 1
    round.lastOfKey[key] = number
    const place = round.places.get(number)
    if (place !== undefined && place !== `${batch.shardId(index)} ${batch.sequenceNumber(index)}`) this.misplaced += 1
  }

  #settle(): void {
    this.lost = 0
    this.unconfirmed = 0
    for (const { acknowledged, seen } of this.#rounds) {
      let kept = 0
      for (const number of acknowledged) if (seen.has(number)) kept += 1
      this.lost += acknowledged.size - kept
      this.unconfirmed += seen.size - kept
    }
  }
}
