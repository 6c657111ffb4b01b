/** `millrace retention`: shows or changes how long a stream's records stay. */
import type { Command } from 'commander'
import { retention as parseRetention } from '../arguments.js'
import type { Register } from '../command.js'
import { retention } from '../format.js'
import { UsageError } from '../exit.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

const EXAMPLES = `
Examples:
  $ millrace retention clicks               # shows it
  $ millrace retention clicks 7d            # changes it: 24h to 365d
  $ millrace retention clicks unbounded
  $ millrace retention --accept-clock       # records expire again after the clock jumped`

/** Adds the command to the program. */
export function registerRetention(program: Command, register: Register): void {
  const command = program
    .command('retention')
    .description("show or change how long a stream's records stay")
    .argument('[stream]', 'name of the stream')
    .argument('[period]', '24h to 365d, or unbounded')
    .option('--accept-clock', 'take the clock for right after a jump or a long rest paused the expiry of records')
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, run)
}

interface RetentionOptions extends CommonOptions {
  readonly acceptClock?: boolean
}

async function run(session: Session, options: RetentionOptions, name?: string, period?: string): CommandResult {
  if (name === undefined && options.acceptClock !== true) {
    throw new UsageError('expected the name of a stream, or --accept-clock')
  }
  if (options.acceptClock === true) await acceptClock(session)
  if (name !== undefined) await showOrSet(session, name, period)
}

async function acceptClock(session: Session): Promise<void> {
  await session.withStore('existing', (store) => store.acceptClock())
  if (session.json) session.out.json({ acceptedClock: new Date().toISOString() })
  else session.out.line('the clock is taken for right: records expire by it from now on')
}

async function showOrSet(session: Session, name: string, period?: string): Promise<void> {
  const wanted = period === undefined ? undefined : parseRetention(period)
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const before = stream.describe().retentionHours
    if (wanted !== undefined) await stream.setRetention(wanted)
    const { retentionHours, oldestArrival } = stream.describe()
    if (session.json) {
      session.out.json({ stream: name, retentionHours, ...(wanted === undefined ? {} : { before }), oldestArrival })
      return
    }
    const change = wanted === undefined ? '' : ` (was ${retention(before)})`
    session.out.line(
      `stream '${name}' keeps records ${retention(retentionHours)}${change}; it reaches back to ${oldestArrival.toISOString()}`,
    )
  })
}
