/** `millrace delete`: a stream and its records go. */
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import type { Register } from '../command.js'
import { UsageError } from '../exit.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface DeleteOptions extends CommonOptions {
  readonly yes?: true
}

const EXAMPLES = `
Examples:
  $ millrace delete clicks          # asks first, on a terminal
  $ millrace delete clicks --yes`

/** Adds the command to the program. */
export function registerDelete(program: Command, register: Register): void {
  const command = program
    .command('delete')
    .description('delete a stream and all its records')
    .argument('<stream>', 'name of the stream')
  commonOptions(command).option('-y, --yes', 'do not ask').addHelpText('after', EXAMPLES)
  register(command, deleteStream)
}

async function deleteStream(session: Session, options: DeleteOptions, name: string): CommandResult {
  if (options.yes !== true && !(await confirmed(session, name))) {
    session.note('nothing was deleted')
    return
  }
  await session.withStore('existing', (store) => store.deleteStream(name))
  if (session.json) session.out.json({ deleted: name })
  else session.out.line(`deleted stream '${name}'`)
}

async function confirmed(session: Session, name: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError(`expected --yes to delete stream '${name}', because there is no terminal to ask at`)
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const question = `Delete stream '${name}' and all its records from ${session.directory}? [y/N] `
    const answer = await terminal.question(question, { signal: session.signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch (error) {
    if (session.signal.aborted) return false
    throw error
  } finally {
    terminal.close()
  }
}
