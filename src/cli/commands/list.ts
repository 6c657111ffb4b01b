/** `millrace list`: the streams of a store. */
import type { Command } from 'commander'
import type { Register } from '../command.js'
import { count, durability, retention, table } from '../format.js'
import { commonOptions, type CommandResult, type Session } from '../session.js'

const EXAMPLES = `
Examples:
  $ millrace list
  $ millrace list --json | jq -r '.[].name'`

/** Adds the command to the program. */
export function registerList(program: Command, register: Register): void {
  const command = program.command('list').alias('ls').description('list the streams of the store')
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, list)
}

async function list(session: Session): CommandResult {
  const streams = await session.withStore('existing', async (store) => store.listStreams())
  if (session.json) {
    session.out.json(streams)
    return
  }
  if (streams.length === 0) {
    session.note(`no streams in ${session.directory}; make one with: millrace create <stream>`)
    return
  }
  const rows = streams.map((stream) => [
    stream.name,
    stream.status,
    count(stream.shards),
    retention(stream.retentionHours),
    durability(stream.durability),
    stream.codec,
    stream.createdAt.toISOString(),
  ])
  const header = ['STREAM', 'STATUS', 'SHARDS', 'RETENTION', 'DURABILITY', 'CODEC', 'CREATED']
  session.out.line(table(header, rows, ['left', 'left', 'right', 'right', 'left', 'left', 'left']))
}
