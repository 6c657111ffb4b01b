/** `millrace consumers`: the registered consumers of a stream. */
import type { Command } from 'commander'
import type { Consumer } from '../../index.js'
import { tag } from '../arguments.js'
import type { Register } from '../command.js'
import { plural, table } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { tagsText } from '../tags.js'

interface RegisterOptions extends CommonOptions {
  readonly tag: Readonly<Record<string, string>>
}

const EXAMPLES = `
A registered consumer reads through pipes of its own, and another subscription of it takes over from it.

Examples:
  $ millrace consumers register clicks billing --tag team=money
  $ millrace consumers list clicks
  $ millrace subscribe clicks billing --from trim-horizon
  $ millrace consumers deregister clicks billing`

/** Adds the commands to the program. */
export function registerConsumers(program: Command, register: Register): void {
  const group = program
    .command('consumers')
    .description('list, register and deregister consumers of a stream')
    .addHelpText('after', EXAMPLES)
  const add = (name: string, description: string): Command =>
    commonOptions(group.command(name).description(description).argument('<stream>', 'name of the stream'))
  register(add('list', 'the registered consumers'), list)
  register(
    add('register', 'register a consumer')
      .argument('<consumer>', 'its name')
      .option('--tag <key=value>', 'a note; may be given several times', tag, {}),
    registerConsumer,
  )
  register(add('deregister', 'end a registration').argument('<consumer>', 'its name'), deregister)
}

async function list(session: Session, _options: CommonOptions, name: string): CommandResult {
  const consumers = await session.withStore('existing', async (store) => (await openBytes(store, name)).consumers())
  if (session.json) session.out.json(consumers.map(described))
  else if (consumers.length === 0) session.note(`no consumers of '${name}'; make one with: millrace consumers register`)
  else {
    const rows = consumers.map(({ name: consumer, createdAt, tags }) => [
      consumer,
      createdAt.toISOString(),
      tagsText(tags),
    ])
    session.out.line(table(['CONSUMER', 'REGISTERED', 'TAGS'], rows, ['left', 'left', 'left']))
  }
}

async function registerConsumer(
  session: Session,
  options: RegisterOptions,
  name: string,
  consumer: string,
): CommandResult {
  const { count, registered } = await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const made = await stream.registerConsumer(consumer, { tags: options.tag })
    return { registered: made, count: stream.consumers().length }
  })
  if (session.json) session.out.json(described(registered))
  else session.out.line(`registered '${consumer}': stream '${name}' has ${plural(count, 'consumer')}`)
}

async function deregister(session: Session, _options: CommonOptions, name: string, consumer: string): CommandResult {
  await session.withStore('existing', async (store) => (await openBytes(store, name)).consumer(consumer).deregister())
  if (session.json) session.out.json({ stream: name, deregistered: consumer })
  else session.out.line(`deregistered '${consumer}' of stream '${name}'`)
}

function described({ name, createdAt, tags }: Consumer): object {
  return { name, createdAt, tags }
}
