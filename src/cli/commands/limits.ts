/** `millrace limits`: shows or changes what a stream's shards take and give a second. */
import type { Command } from 'commander'
import { limits as parseLimits, LIMITS_FORMS } from '../arguments.js'
import type { Register } from '../command.js'
import { limits } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

const EXAMPLES = `
aws is what Amazon publishes for Kinesis Data Streams: 1 MiB and 1,000 records a second in, for each shard.

Examples:
  $ millrace limits clicks                  # shows them
  $ millrace limits clicks aws
  $ millrace limits clicks write-records=100,write-bytes=64k
  $ millrace limits clicks unlimited`

/** Adds the command to the program. */
export function registerLimits(program: Command, register: Register): void {
  const command = program
    .command('limits')
    .description('show or change what the shards of a stream take and give a second')
    .argument('<stream>', 'name of the stream')
    .argument('[limits]', LIMITS_FORMS)
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, showOrSet)
}

async function showOrSet(session: Session, _options: CommonOptions, name: string, wanted?: string): CommandResult {
  const policy = wanted === undefined ? undefined : parseLimits(wanted)
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const before = stream.describe().limits
    if (policy !== undefined) await stream.setLimits(policy)
    const now = stream.describe().limits
    if (session.json) {
      session.out.json({ stream: name, limits: now, ...(policy === undefined ? {} : { before }) })
      return
    }
    const change = policy === undefined ? '' : ` (was ${limits(before)})`
    session.out.line(`limits of stream '${name}': ${limits(now)}${change}`)
  })
}
