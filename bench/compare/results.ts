/** What a run leaves: the peers with their promises and versions, who was left out and why, and the rows. */
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import type { JudgedRow, Row } from '../rows.js'
import { CHRONICLE, type Field } from './field.js'
import { versionOf } from './versions.js'

/** Names every peer that did not take part, or not to the end. */
export function printLeftOut(field: Field): void {
  for (const [name, reason] of field.leftOut) console.log(`left out: ${name} (${reason})`)
}

/** Writes one run as an object; a figure that could not be had is null. */
export function writeResults(path: string, field: Field, rows: readonly JudgedRow[]): void {
  const results = {
    machine: `${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, Node ${process.version}`,
    date: new Date().toISOString().slice(0, 10),
    run: field.quick ? 'quick' : 'full',
    peers: [
      ...field.peers.map(({ name, product, promised, runs, framing }) => {
        return { name, version: versionOf(product), promised, runs, framing, leftOut: field.reason(name) }
      }),
      ...(field.withChronicle ? [chronicle(field)] : []),
    ],
    rows: rows.map(({ name, unit, median, min, max, against, ratio }): Row => {
      return { name, unit, median, min, max, against, ratio }
    }),
  }
  writeFileSync(path, `${JSON.stringify(results, undefined, 2)}\n`)
}

function chronicle(field: Field) {
  const { name, product } = CHRONICLE
  return { name, version: versionOf(product), promised: 'os', runs: 'in Java', leftOut: field.reason(name) }
}
