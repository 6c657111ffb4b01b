/**
 * What the guide's pictures are drawn from, and where: the figures of a real run stand in `bench/results/guide`, the
 * drawings in `docs/guide/pictures`. A test holds the two against each other.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot, type Machine } from '../machine.js'
import { draw, type Picture } from './draw.js'

/** A run and what it gave. */
export interface Recorded {
  readonly machine: Machine
  readonly commit: string
  /** The day and minute, UTC. */
  readonly date: string
  readonly pictures: Readonly<Record<string, Picture>>
}

const resultsFolder = join(projectRoot, 'bench', 'results', 'guide')
const picturesFolder = join(projectRoot, 'docs', 'guide', 'pictures')

/** Keeps what a scenario gave, and draws everything. */
export function record(scenario: string, recorded: Recorded): void {
  mkdirSync(resultsFolder, { recursive: true })
  writeFileSync(join(resultsFolder, `${scenario}.json`), `${JSON.stringify(recorded, rounded, 1)}\n`)
  drawAll()
}

/** Draws what is kept; a drawing that nothing makes any more goes. */
export function drawAll(): void {
  rmSync(picturesFolder, { recursive: true, force: true })
  mkdirSync(picturesFolder, { recursive: true })
  for (const [file, svg] of drawRecorded()) writeFileSync(join(picturesFolder, file), svg)
}

/** The drawings as they follow from the figures that are kept, by file name. */
export function drawRecorded(): Map<string, string> {
  const scenarios = existsSync(resultsFolder) ? readdirSync(resultsFolder) : []
  const pictures = scenarios.flatMap((file) => Object.entries(loadRecorded(file.replace(/\.json$/, '')).pictures))
  return new Map(pictures.map(([name, picture]) => [`${name}.svg`, draw(picture)]))
}

/** The drawings as they stand in the guide, by file name. */
export function readDrawn(): Map<string, string> {
  const files = existsSync(picturesFolder) ? readdirSync(picturesFolder) : []
  return new Map(files.map((file) => [file, readFileSync(join(picturesFolder, file), 'utf8')]))
}

function loadRecorded(scenario: string): Recorded {
  return JSON.parse(readFileSync(join(resultsFolder, `${scenario}.json`), 'utf8')) as Recorded
}

/** Five significant digits are more than a picture shows. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(5)) : value
}
