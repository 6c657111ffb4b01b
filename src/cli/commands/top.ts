/** `millrace top`: what happens in a store right now, as seen from outside of the process that has it open. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { Millrace } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { Screen } from '../top/screen.js'
import { topView } from '../top/view.js'

interface TopOptions extends CommonOptions {
  readonly once?: true
  readonly interval: number
}

/** Lines for output that is no terminal, and columns where nobody tells how many there are. */
const WIDTH_DEFAULT = 100
const HEIGHT_UNBOUNDED = 10_000

const EXAMPLES = `
It looks on from outside: the process that has the store open writes its figures once a second, and is not disturbed.
Ctrl-C or q ends it.

Examples:
  $ millrace top
  $ millrace top --once
  $ millrace top --once --json | jq '.streams[].incoming.tenSeconds'`

/** Adds the command to the program. */
export function registerTop(program: Command, register: Register): void {
  const command = program.command('top').description('show rates, ages, refusals and hot keys, live')
  commonOptions(command)
    .option('--once', 'show it once and end; so it is also where standard output is no terminal')
    .option('-i, --interval <seconds>', 'seconds between two looks', positiveInteger, 1)
    .addHelpText('after', EXAMPLES)
  register(command, top)
}

async function top(session: Session, options: TopOptions): CommandResult {
  const live = options.once !== true && !session.json && process.stdout.isTTY
  if (!live) {
    const observation = await Millrace.observe(session.directory)
    if (session.json) session.out.json(observation)
    else
      session.out.line(topView(observation, { now: Date.now(), width: width(), height: HEIGHT_UNBOUNDED }).join('\n'))
    return
  }
  const screen = new Screen(process.stdout, process.stdin)
  const signal = AbortSignal.any([session.signal, screen.quit])
  try {
    while (!signal.aborted) {
      const observation = await Millrace.observe(session.directory)
      screen.draw(topView(observation, { now: Date.now(), width: width(), height: process.stdout.rows }))
      await waited(options.interval * 1_000, signal, screen)
    }
  } finally {
    screen.close()
  }
}

/** Waits for the next look, or for the end, or for another size of the terminal. */
async function waited(milliseconds: number, signal: AbortSignal, screen: Screen): Promise<void> {
  const wake = AbortSignal.any([signal, screen.resized()])
  await pause(milliseconds, undefined, { signal: wake }).catch((error: unknown) => {
    if (!wake.aborted) throw error
  })
}

function width(): number {
  return process.stdout.columns ?? WIDTH_DEFAULT
}
