/**
 * What the writing child and its witness agree on: the content of each record, and the line that reports an
 * acknowledgement.
 *
 * A record's content follows from its round and number, so that the witness can tell a whole record from a torn one
 * without having seen it.
 */

/** Keys that the records of a round are spread over. */
export const WITNESS_KEYS = 229
/** The stream that the child writes. */
export const WITNESS_STREAM = 'witnessed'

/** `count` records from number `first` on are acknowledged; the last of them stands at this place. */
export interface Acknowledgement {
  readonly first: number
  readonly count: number
  readonly shardId: string
  readonly sequenceNumber: string
}

/** The partition key of record `number`. */
export function witnessKey(number: number): string {
  return `key-${number % WITNESS_KEYS}`
}

/** The content of record `number` of a round: 30 to 150 bytes. */
export function witnessText(round: number, number: number): string {
  return `${round} ${number} ${'abcdefghij'.repeat(2 + (number % 12))}`
}

/** The line that the child writes once records are acknowledged. */
export function acknowledgementLine(acknowledgement: Acknowledgement): string {
  const { first, count, shardId, sequenceNumber } = acknowledgement
  return `${first} ${count} ${shardId} ${sequenceNumber}\n`
}

/** The acknowledgements in what a child wrote before it died; an unfinished last line is none. */
export function parseAcknowledgements(text: string): Acknowledgement[] {
  const finished = text.slice(0, text.lastIndexOf('\n') + 1)
  return finished.split('\n').filter(Boolean).map(parseLine)
}

function parseLine(line: string): Acknowledgement {
  const [first, count, shardId, sequenceNumber] = line.split(' ')
  if (shardId === undefined || sequenceNumber === undefined)
    throw new Error(`expected an acknowledgement, got '${line}'`)
  return { first: Number(first), count: Number(count), shardId, sequenceNumber }
}
