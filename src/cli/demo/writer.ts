/**
 * The child process that the demo kills: puts numbered records for as long as it lives, and tells its witness over
 * standard output what was acknowledged.
 *
 * Started by `kill-step.ts` as `node writer.js <directory> <round>`.
 */
import { writeSync } from 'node:fs'
import { Millrace, type Stream } from '../../index.js'
import { WITNESS_STREAM, acknowledgementLine, witnessKey, witnessText } from './witness.js'

const STDOUT = 1
/** Calls under way at once, so that the kill always strikes several. */
const LANES = 4
const RECORDS_PER_CALL = 200
/** Where the child stops by itself, in case that nobody kills it. */
const RECORDS_MAX = 2_000_000

const [directory = '', round = ''] = process.argv.slice(2)
let next = 0

const store = await Millrace.open(directory, { create: false })
const stream = await store.stream(WITNESS_STREAM)
await Promise.all(Array.from({ length: LANES }, () => lane(stream, Number(round))))
await store.close()

async function lane(stream: Stream, round: number): Promise<void> {
  while (next < RECORDS_MAX) {
    const first = next
    next += RECORDS_PER_CALL
    const records = Array.from({ length: RECORDS_PER_CALL }, (_, index) => ({
      partitionKey: witnessKey(first + index),
      data: Buffer.from(witnessText(round, first + index)),
    }))
    const last = (await stream.putMany(records)).at(-1)
    if (last === undefined) return
    const { shardId, sequenceNumber } = last
    // Synchronous: what the witness has not read yet stands in the pipe and survives this process.
    writeSync(STDOUT, acknowledgementLine({ first, count: RECORDS_PER_CALL, shardId, sequenceNumber }))
  }
}
