/** `millrace tag`: shows, adds and removes what is noted at a stream. */
import type { Command } from 'commander'
import { tag as parseTag } from '../arguments.js'
import type { Register } from '../command.js'
import { table } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface TagOptions extends CommonOptions {
  readonly remove: readonly string[]
}

const EXAMPLES = `
Examples:
  $ millrace tag clicks                     # shows them
  $ millrace tag clicks team=checkout stage=live
  $ millrace tag clicks --remove stage`

/** Adds the command to the program. */
export function registerTag(program: Command, register: Register): void {
  const command = program
    .command('tag')
    .description('show, add and remove the tags of a stream')
    .argument('<stream>', 'name of the stream')
    .argument('[tags...]', 'what to add, as key=value')
  commonOptions(command)
    .option(
      '--remove <key>',
      'a key to remove; may be given several times',
      (key, before: string[]) => [...before, key],
      [],
    )
    .addHelpText('after', EXAMPLES)
  register(command, run)
}

async function run(session: Session, { remove }: TagOptions, name: string, ...added: string[]): CommandResult {
  const tags = added.reduce<Readonly<Record<string, string>>>((before, text) => parseTag(text, before), {})
  const now = await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    if (added.length > 0) await stream.tag(tags)
    if (remove.length > 0) await stream.untag(remove)
    return stream.tags()
  })
  if (session.json) session.out.json(now)
  else if (Object.keys(now).length === 0) session.note(`stream '${name}' has no tags`)
  else session.out.line(table(['KEY', 'VALUE'], Object.entries(now), ['left', 'left']))
}
