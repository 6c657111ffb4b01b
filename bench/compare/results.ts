/** What a run leaves: the peers with their promises and versions, who was left out and why, and the rows. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import type { JudgedRow, Row } from '../rows.js'
import { CHRONICLE, type Field } from './field.js'
import { versionOf } from './versions.js'

/** Names every peer that did not take part, or not to the end. */
export function printLeftOut(field: Field): void {
  for (const [name, reason] of field.leftOut) console.log(`left out: ${name} (${reason})`)
}

/** What is written of one run. */
interface Results {
  readonly machine: string
  readonly date: string
  readonly run: 'quick' | 'full'
  readonly peers: readonly { readonly name: string; readonly leftOut: string | undefined }[]
  readonly rows: readonly Row[]
}

/**
 * Writes one run as an object; a figure that could not be had is null. Rows and peers that the file has of the same
 * machine and kind of run, and that this run has not, stay in it.
 */
export function writeResults(path: string, field: Field, rows: readonly JudgedRow[]): void {
  const results = resultsOf(field, rows)
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Results) : undefined
  const goesOn = before?.machine === results.machine && before.run === results.run
  const merged = goesOn
    ? { ...before, ...results, peers: merge(before.peers, results.peers), rows: merge(before.rows, results.rows) }
    : results
  writeFileSync(path, `${JSON.stringify(merged, undefined, 2)}\n`)
}

/** Newer ones in the place of older ones of the same name, and what is new behind them. */
function merge<T extends { readonly name: string }>(older: readonly T[], newer: readonly T[]): T[] {
  const named = new Map(older.map((one) => [one.name, one]))
  for (const one of newer) named.set(one.name, one)
  return [...named.values()]
}

function resultsOf(field: Field, rows: readonly JudgedRow[]): Results {
  return {
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
}

function chronicle(field: Field) {
  const { name, product } = CHRONICLE
  return { name, version: versionOf(product), promised: 'os', runs: 'in Java', leftOut: field.reason(name) }
}
