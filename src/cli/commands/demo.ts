/** `millrace demo`: the whole thing on three million real events, with every count checked. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { Millrace } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { FLIGHTS, openFlights } from '../demo/flights.js'
import { hotStep } from '../demo/hot-step.js'
import { ingestStep } from '../demo/ingest-step.js'
import { killStep } from '../demo/kill-step.js'
import { replayStep } from '../demo/replay-step.js'
import { Report } from '../demo/report.js'
import { WITNESS_STREAM } from '../demo/witness.js'
import { EXIT } from '../exit.js'
import { bytes, duration, plural } from '../format.js'
import type { CommandResult, CommonOptions, Session } from '../session.js'
import { countShards, shardChart } from '../shard-count.js'

interface DemoOptions extends CommonOptions {
  readonly keep?: true
  readonly quick?: true
  readonly shards: number
}

const QUICK_FLIGHTS = 200_000
const FLIGHT_STREAM = 'flights'
const KILLS = { full: 5, quick: 2 } as const

const EXAMPLES = `
The store goes to a temporary directory and is removed at the end, unless --keep or --data is given.
A check that does not hold makes the exit code 1.

Examples:
  $ millrace demo
  $ millrace demo --quick
  $ millrace demo --data ./demo-data && millrace describe flights --data ./demo-data --count`

/** Adds the command to the program. */
export function registerDemo(program: Command, register: Register): void {
  const command = program
    .command('demo')
    .description('ingest, follow, replay, split a hot shard, kill and recover, on three million flights')
    .option('-d, --data <dir>', 'directory for the store; it is kept (default: a temporary one)')
    .option('--keep', 'keep the temporary directory and say where it is')
    .option('--quick', `only ${QUICK_FLIGHTS} flights and ${KILLS.quick} kills`)
    .option('-s, --shards <n>', 'shards of the stream', positiveInteger, 4)
    .option('--json', 'checks and figures as JSON on standard output, and nothing else there')
    .option('-q, --quiet', 'no progress bar and no notes on standard error')
    .addHelpText('after', EXAMPLES)
  register(command, demo)
}

async function demo(session: Session, options: DemoOptions): CommandResult {
  const directory = options.data ?? (await mkdtemp(join(tmpdir(), 'millrace-demo-')))
  const kept = options.data !== undefined || options.keep === true
  const report = new Report(session.out, {
    silent: session.json,
    color: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  })
  try {
    await runSteps(session, options, directory, report)
  } finally {
    if (!kept) await rm(directory, { recursive: true, force: true })
  }
  if (kept) session.note(`the store is kept in ${directory}`)
  const { checks, facts, failed } = report
  if (session.json)
    session.out.json({ ok: failed.length === 0, milliseconds: Math.round(report.elapsed), checks, facts })
  return failed.length === 0 ? EXIT.ok : EXIT.failure
}

async function runSteps(session: Session, options: DemoOptions, directory: string, report: Report): Promise<void> {
  const quick = options.quick === true
  const { signal, quiet } = session
  await report.line(`Millrace demo: ${plural(options.shards, 'shard')}, durability 'synced', in ${directory}`)
  const store = await Millrace.open(directory)
  try {
    const stream = await store.createStream(FLIGHT_STREAM, { shards: options.shards, retention: '7d' })
    await store.createStream(WITNESS_STREAM, { shards: options.shards })
    const total = quick ? QUICK_FLIGHTS : FLIGHTS
    const flights = await openFlights()
    const written = await ingestStep(report, stream, flights, { total, quiet, signal })
    await replayStep(report, stream, written, signal)
    await hotStep(report, store, flights, signal)
  } finally {
    // The writing process needs the store for itself.
    await store.close()
  }
  await killStep(report, directory, { rounds: quick ? KILLS.quick : KILLS.full, signal })
  await describeStep(report, directory, signal)
  await report.step('Summary')
  await report.summary()
}

async function describeStep(report: Report, directory: string, signal: AbortSignal): Promise<void> {
  await report.step(`Describe stream '${FLIGHT_STREAM}'`)
  const started = performance.now()
  const store = await Millrace.open(directory, { create: false })
  try {
    const stream = await store.stream(FLIGHT_STREAM)
    const opened = performance.now() - started
    const description = stream.describe()
    await report.say(
      `opened in ${duration(opened)}: ${bytes(description.bytes)} in ${plural(description.segments, 'segment')}\n`,
    )
    const counts = await countShards(stream, signal, () => {})
    await report.say(shardChart(description.shardList, counts))
  } finally {
    await store.close()
  }
}
