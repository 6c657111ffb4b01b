/**
 * `npm run soak -- [--minutes N] [--seed N] [--directory DIR] [--keep] [--json FILE]`: keeps a mixed load on a store of
 * the built package and checks all that it promises meanwhile. See docs/testing.md.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { showEnd, showSample, writeJson } from './report.js'
import { PLANTS, Soak } from './soak.js'

const MINUTES_MAX = 7 * 24 * 60
const DISK_BYTES_MAX = 1 << 30
const HELP = `npm run soak -- [options]
  --minutes N      how long, fractions allowed (default: 5)
  --seed N         the choices of an earlier run: a whole number (default: a random one, which is printed)
  --directory DIR  where to put the data, at most 1 GiB (default: the folder for temporary files)
  --keep           leave the data behind, and say where
  --json FILE      write all figures and samples
  --help           this text
Ends with 0 when all promises were kept, 1 when one was not, 2 for a wrong argument, and 130 when it was interrupted,
after the same checks.`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      directory: { type: 'string', default: tmpdir() },
      keep: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
      // For tests of the soak itself: something is broken on purpose, and must be noticed.
      plant: { type: 'string' },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const minutes = numberOf('--minutes', values.minutes, (value) => value > 0 && value <= MINUTES_MAX)
  const seed = numberOf('--seed', values.seed, (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32)
  if (values.plant !== undefined && !(PLANTS as readonly string[]).includes(values.plant)) {
    throw new WrongArgument(`--plant: expected one of ${PLANTS.join(', ')}, got ${values.plant}`)
  }
  mkdirSync(values.directory, { recursive: true })
  const directory = mkdtempSync(join(values.directory, 'millrace-soak-'))
  const interrupt = new AbortController()
  const onSignal = (): void => interrupt.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  try {
    const soak = new Soak({
      directory,
      minutes,
      seed,
      diskBytesMax: DISK_BYTES_MAX,
      plant: values.plant,
      signal: interrupt.signal,
      onSample: showSample,
    })
    const { retentionMs, clockFactor } = soak.pace
    console.log(`soak: ${minutes} min, seed ${seed}, in ${directory}`)
    console.log(
      `      a day of retention passes in ${(retentionMs / 1000).toFixed(1)} s: a clock ${clockFactor} times as fast`,
    )
    const verdicts = await soak.run()
    showEnd(soak, verdicts)
    if (values.json !== undefined) {
      writeJson(values.json, soak, verdicts)
      console.log(`\nfigures: ${values.json}`)
    }
    if (soak.breaches.length > 0) console.log(`\nthe same choices again: --minutes ${minutes} --seed ${seed}`)
    return soak.breaches.length > 0 ? 1 : interrupt.signal.aborted ? 130 : 0
  } finally {
    if (values.keep) console.log(`\nkept: ${directory}`)
    else rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

class WrongArgument extends Error {}

function numberOf(name: string, text: string, isRight: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() !== '' && isRight(value)) return value
  throw new WrongArgument(`${name}: got ${text}; see --help`)
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof WrongArgument) && !(error instanceof TypeError && 'code' in error)) throw error
  console.error(error.message)
  process.exitCode = 2
}
