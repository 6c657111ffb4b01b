/** Step 4: a writing process is killed hard, again and again, and nothing that it was promised is gone. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Millrace, MillraceError } from '../../index.js'
import { count, duration } from '../format.js'
import { stopIfAborted } from '../session.js'
import { Auditor } from './auditor.js'
import type { Report } from './report.js'
import { WITNESS_STREAM, parseAcknowledgements } from './witness.js'

const WRITER = fileURLToPath(new URL('writer.js', import.meta.url))
/** The kill comes so many milliseconds after the first acknowledgement: at a different point of the work each time. */
const KILL_AFTER_MS = { least: 100, most: 400 } as const
/** A child that acknowledges nothing for so long never will. */
const FIRST_ACKNOWLEDGEMENT_MS = 20_000

/** Kills a writer `rounds` times. The store in `directory` must be closed. */
export async function killStep(
  report: Report,
  directory: string,
  options: { readonly rounds: number; readonly signal: AbortSignal },
): Promise<void> {
  await report.step(`Kill a writing process ${options.rounds} times (SIGKILL), and reopen`)
  const auditor = new Auditor()
  let locked = 'nobody tried'
  for (let round = 0; round < options.rounds; round += 1) {
    const child = spawn(process.execPath, [WRITER, directory, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      locked = await witnessUntilKilled(child, auditor, round, directory, options.signal)
    } finally {
      child.kill('SIGKILL')
    }
    await reopen(report, directory, auditor, round, options.signal)
  }
  const { acknowledged, lost, damaged, duplicated, disordered, misplaced, unconfirmed } = auditor
  await report.say(
    `${count(unconfirmed)} further records are there whole: the kill came before their acknowledgement was told`,
  )
  await report.check('acknowledged records that are gone', 0, lost)
  await report.check('records that are not what was written', 0, damaged)
  await report.check('records that are there twice', 0, duplicated)
  await report.check('records out of order within their key', 0, disordered)
  await report.check('acknowledged places that hold another record', 0, misplaced)
  await report.check('a second open while the writer lived', 'ERR_MILLRACE_LOCKED', locked)
  report.facts.push({
    what: `acknowledged by ${options.rounds} killed writers`,
    amount: count(acknowledged),
    took: '',
    rate: `${count(lost)} lost`,
  })
}

/** Lets the child write for a while and kills it; returns how a second open of the store was answered meanwhile. */
async function witnessUntilKilled(
  child: ChildProcess,
  auditor: Auditor,
  round: number,
  directory: string,
  signal: AbortSignal,
): Promise<string> {
  let heard = ''
  const closed = once(child, 'close')
  const spoke = new Promise<void>((resolve) => {
    child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      heard += text
      resolve()
    })
  })
  const started = performance.now()
  await Promise.race([spoke, closed, sleep(FIRST_ACKNOWLEDGEMENT_MS)])
  if (heard === '')
    throw new Error(
      `expected the writing process to acknowledge something, got nothing in ${duration(performance.now() - started)}`,
    )
  const answer = await tryOpen(directory)
  await sleep(KILL_AFTER_MS.least + Math.random() * (KILL_AFTER_MS.most - KILL_AFTER_MS.least))
  child.kill('SIGKILL')
  // `close` comes after the pipe is read to its end: what the child said before it died is all heard.
  await closed
  stopIfAborted(signal)
  auditor.acknowledge(round, parseAcknowledgements(heard))
  return answer
}

async function reopen(
  report: Report,
  directory: string,
  auditor: Auditor,
  round: number,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now()
  const store = await Millrace.open(directory, { create: false })
  try {
    const stream = await store.stream(WITNESS_STREAM)
    const opened = performance.now() - started
    const found = await auditor.audit(stream, signal)
    await report.say(
      `round ${round + 1}: ${count(auditor.acknowledgedIn(round))} acknowledged when killed; reopened in ` +
        `${duration(opened)}; ${count(found)} records found, ${count(auditor.lost)} lost`,
    )
    for (const warning of store.warnings) await report.say(`the store says: ${warning}`)
  } finally {
    await store.close()
  }
}

async function tryOpen(directory: string): Promise<string> {
  try {
    const store = await Millrace.open(directory, { create: false })
    await store.close()
    return 'it was let in'
  } catch (error) {
    if (MillraceError.is(error)) return error.code
    throw error
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
