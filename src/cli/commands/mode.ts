/** `millrace mode`: shows or changes who decides how many shards a stream has. */
import { Argument, type Command } from 'commander'
import type { CapacityMode, StreamDescription } from '../../index.js'
import { wholeNumber } from '../arguments.js'
import type { Register } from '../command.js'
import { plural } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface ModeOptions extends CommonOptions {
  readonly warm?: number
}

const EXAMPLES = `
provisioned: split, merge and scale decide. on-demand: the stream follows its traffic. At most two switches in 24 hours.

Examples:
  $ millrace mode clicks                    # shows it
  $ millrace mode clicks on-demand
  $ millrace mode clicks --warm 200         # shards for 200 MiB/s, before they come; 0 releases them`

/** Adds the command to the program. */
export function registerMode(program: Command, register: Register): void {
  const command = program
    .command('mode')
    .description('show or change who decides how many shards a stream has')
    .argument('<stream>', 'name of the stream')
    .addArgument(new Argument('[mode]', 'who decides').choices(['provisioned', 'on-demand']))
  commonOptions(command)
    .option('--warm <mib>', 'MiB/s written that an on-demand stream is to be ready for; 0 releases them', wholeNumber)
    .addHelpText('after', EXAMPLES)
  register(command, showOrSet)
}

async function showOrSet(session: Session, { warm }: ModeOptions, name: string, wanted?: string): CommandResult {
  const mode = wanted as CapacityMode | undefined
  const now = await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    if (mode !== undefined) await stream.setMode(mode)
    if (warm !== undefined) await stream.setWarmThroughput(warm)
    return stream.describe()
  })
  const { mode: is, shards, warmThroughput } = now
  if (session.json) session.out.json({ stream: name, mode: is, shards, warmThroughput })
  else session.out.line(`stream '${name}' is ${is}, with ${plural(shards, 'open shard')}${warmText(now)}`)
}

function warmText({ warmThroughput }: StreamDescription): string {
  return warmThroughput === undefined ? '' : `, warm for ${warmThroughput.targetMiBps} MiB/s`
}
