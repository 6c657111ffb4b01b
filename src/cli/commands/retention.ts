/** `millrace retention`: shows or changes how long a stream's records stay. */
import type { Command } from 'commander'
import { retention as parseRetention } from '../arguments.js'
import type { Register } from '../command.js'
import { retention } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

const EXAMPLES = `
Examples:
  $ millrace retention clicks               # shows it
  $ millrace retention clicks 7d            # changes it: 24h to 365d
  $ millrace retention clicks unbounded`

/** Adds the command to the program. */
export function registerRetention(program: Command, register: Register): void {
  const command = program
    .command('retention')
    .description("show or change how long a stream's records stay")
    .argument('<stream>', 'name of the stream')
    .argument('[period]', '24h to 365d, or unbounded')
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, showOrSet)
}

async function showOrSet(session: Session, _options: CommonOptions, name: string, period?: string): CommandResult {
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
