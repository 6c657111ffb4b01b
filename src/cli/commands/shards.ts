/** `millrace shards`: the shards of a stream, as the tree of what came from what. */
import { Option, type Command } from 'commander'
import type { ShardFilter } from '../../index.js'
import type { Register } from '../command.js'
import { UsageError } from '../exit.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { shardTree } from '../shard-tree.js'
import { parseTime, TIME_FORMS } from '../start-at.js'

interface ShardsOptions extends CommonOptions {
  readonly open?: true
  readonly at?: string
  readonly since?: string
  readonly after?: string
}

const EXAMPLES = `
Without an option: all that can be read, the open ones and the closed ones whose records have not all expired.

Examples:
  $ millrace shards clicks
  $ millrace shards clicks --open
  $ millrace shards clicks --at 2h                 # those that were open two hours ago
  $ millrace shards clicks --json | jq -r '.[] | select(.status == "closed").shardId'`

/** Adds the command to the program. */
export function registerShards(program: Command, register: Register): void {
  const command = program
    .command('shards')
    .description('list the shards of a stream, what came from what')
    .argument('<stream>', 'name of the stream')
  const one = (flags: string, description: string, others: string[]): Option =>
    new Option(flags, description).conflicts(others)
  commonOptions(command)
    .addOption(one('--open', 'only those that are open', ['at', 'since', 'after']))
    .addOption(one('--at <time>', `those that were open then: ${TIME_FORMS}`, ['open', 'since', 'after']))
    .addOption(one('--since <time>', 'those that were open then or later', ['open', 'at', 'after']))
    .addOption(one('--after <shard>', 'those whose ids come after this one', ['open', 'at', 'since']))
    .addHelpText('after', EXAMPLES)
  register(command, shards)
}

async function shards(session: Session, options: ShardsOptions, name: string): CommandResult {
  const filter = filterOf(options)
  const list = await session.withStore('existing', async (store) =>
    (await openBytes(store, name)).listShards({ filter }),
  )
  if (session.json) session.out.json(list)
  else session.out.line(shardTree(list))
}

function filterOf({ open, at, since, after }: ShardsOptions): ShardFilter {
  if (open === true) return 'AT_LATEST'
  if (at !== undefined) return { atTimestamp: timeOf('--at', at) }
  if (since !== undefined) return { fromTimestamp: timeOf('--since', since) }
  return after === undefined ? 'FROM_TRIM_HORIZON' : { afterShardId: after }
}

function timeOf(option: string, text: string): number {
  const time = parseTime(text, Date.now())
  if (time === undefined) throw new UsageError(`${option}: expected ${TIME_FORMS}; got '${text}'`)
  return time
}
