/**
 * Draws the guide's pictures from real runs: `npm run guide`, `npm run guide -- NAME` for one of them, or with `--draw`
 * from the figures that are kept. Figures go to `bench/results/guide`, drawings to `docs/guide/pictures`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeRun } from '../machine.js'
import { drawAll, record } from './pictures.js'
import { backoff } from './scenarios/backoff.js'
import { hotShard } from './scenarios/hot-shard.js'
import { onDemand } from './scenarios/on-demand.js'

const SCENARIOS = { 'hot-shard': hotShard, backoff, 'on-demand': onDemand } as const

const [wanted] = process.argv.slice(2)
if (wanted === '--draw') drawAll()
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  if (wanted !== undefined && wanted !== name) continue
  const folder = mkdtempSync(join(tmpdir(), 'millrace-guide-'))
  try {
    const { machine, commit, date } = describeRun(folder, { quick: false, filter: name })
    record(name, { machine, commit, date, pictures: await scenario(folder) })
    console.log(`${name}: recorded and drawn`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
