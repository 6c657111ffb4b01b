/**
 * The honest rival of an append: plain `fs` writes of 500 records a call, without keys, frames or an index.
 */
import { closeSync, fdatasyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type Bench, makePayloads, MIB, settle } from '../bench.js'
import type { Side } from '../rows.js'

/** Records that one write takes. */
const RECORDS_PER_WRITE = 500

/** A pre-written file is rewritten in a circle of this size. */
const REWRITTEN_BYTES = 256 * MIB

/** What a plain file writer does. */
export interface PlainWriter {
  readonly recordBytes: number
  readonly sync: 'never' | 'each write'
  readonly file: 'growing' | 'rewritten'
  readonly milliseconds: number
}

/** A side that writes records into a plain file for a while. */
export function plainWrites(bench: Bench, name: string, writer: PlainWriter): Side {
  const path = bench.workspace.path(`${name.replaceAll(/\W+/g, '-')}.plain`)
  bench.limits.prepareFile(path, writer.file, REWRITTEN_BYTES)
  const measure = () => {
    settle(bench)
    const file = openSync(path, 'r+')
    const rate = writeFor(file, writer)
    // Dirty pages of a file that is cut never reach the disk, so the next side does not wait for them.
    if (writer.file === 'growing') ftruncateSync(file, 0)
    closeSync(file)
    return rate
  }
  return { name, unit: 'records/s', measure }
}

function writeFor(file: number, { recordBytes, sync, file: state, milliseconds }: PlainWriter): number {
  const payloads = makePayloads(recordBytes)
  const staging = new Uint8Array(RECORDS_PER_WRITE * recordBytes)
  const end = state === 'rewritten' ? REWRITTEN_BYTES - staging.length : Number.POSITIVE_INFINITY
  const started = performance.now()
  let elapsed = 0
  let offset = 0
  let writes = 0
  while (elapsed < milliseconds) {
    for (let i = 0; i < RECORDS_PER_WRITE; i++) staging.set(payloads[i & 63]!, i * recordBytes)
    writeSync(file, staging, 0, staging.length, offset)
    if (sync === 'each write') fdatasyncSync(file)
    offset = offset + staging.length > end ? 0 : offset + staging.length
    writes += 1
    elapsed = performance.now() - started
  }
  return ((writes * RECORDS_PER_WRITE) / elapsed) * 1000
}
