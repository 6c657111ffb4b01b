/** `millrace queue`: queues on a stream, and what they hand out. */
import type { Command } from 'commander'
import type {
  CreateQueueOptions,
  Message,
  Queue,
  QueueAttributes,
  ReceiveOptions,
  Settled,
  Stream,
} from '../../index.js'
import { positiveInteger, tag, wholeNumber } from '../arguments.js'
import type { Register } from '../command.js'
import { EXIT, UsageError } from '../exit.js'
import { count, plural, table } from '../format.js'
import { textOrBase64 } from '../record-text.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { parseStartAt } from '../start-at.js'
import { tagsText } from '../tags.js'

/** What of a queue can be changed. */
interface AttributeOptions extends CommonOptions {
  readonly visibility?: number
  readonly maxReceives?: number
  readonly deadLetters: boolean
}

interface CreateOptions extends AttributeOptions {
  readonly from: string
  readonly tag: Readonly<Record<string, string>>
  readonly ifNotExists?: true
}

interface ReceiveCommandOptions extends CommonOptions {
  readonly max: number
  readonly wait: number
  readonly visibility?: number
  readonly ack?: true
}

const EXAMPLES = `
A queue hands out each record of its stream until it is acknowledged: what nobody acknowledges in time is handed out
again, and after --max-receives times becomes a dead letter. A message is a line: {"receipt", "recordId",
"partitionKey", "shardId", "receiveCount", "approximateArrivalTimestamp", "firstReceiveTimestamp", "data"}.

Examples:
  $ millrace queue create orders shipping --from trim-horizon --visibility 60
  $ millrace queue receive orders shipping --max 1 --wait 9 | tee message.json | jq .data
  $ millrace queue ack orders shipping "$(jq -r .receipt message.json)"
  $ millrace queue list orders
  $ millrace queue dead-letters orders shipping | jq -r .receipt | xargs millrace queue restore orders shipping`

/** Adds the commands to the program. */
export function registerQueue(program: Command, register: Register): void {
  const group = program
    .command('queue')
    .description('queues on a stream: create, receive, acknowledge')
    .addHelpText('after', EXAMPLES)
  const ofStream = (name: string, description: string): Command =>
    commonOptions(group.command(name).description(description).argument('<stream>', 'name of the stream'))
  const ofQueue = (name: string, description: string): Command =>
    ofStream(name, description).argument('<queue>', 'name of the queue')
  register(ofStream('list', 'the queues, and how many records they have'), list)
  register(createOptions(ofQueue('create', 'create a queue')), create)
  register(attributeOptions(ofQueue('update', 'change how long records are hidden, and when they die')), update)
  register(ofQueue('delete', 'delete a queue; the records stay in the stream'), deleteQueue)
  register(
    receiveOptions(ofQueue('receive', 'receive records, and print them as NDJSON')),
    (session, options: ReceiveCommandOptions, ...names) =>
      receive(session, options, names, (queue, how) => queue.receive(how)),
  )
  register(
    receiveOptions(ofQueue('dead-letters', 'receive dead letters')),
    (session, options: ReceiveCommandOptions, ...names) =>
      receive(session, options, names, (queue, how) => queue.deadLetters(how)),
  )
  const settles = (name: string, description: string): Command =>
    ofQueue(name, description).argument('<receipts...>', 'what came with the messages')
  register(
    settles('ack', 'acknowledge: the records are not handed out again'),
    (session, _options: CommonOptions, ...args) =>
      settle(session, args, 'acknowledged', (queue, receipts) => queue.ack(receipts)),
  )
  register(
    settles('restore', 'make dead letters records like any other again'),
    (session, _options: CommonOptions, ...args) =>
      settle(session, args, 'restored', (queue, receipts) => queue.restore(receipts)),
  )
  register(
    settles('extend', 'hide records that were received for longer').requiredOption(
      '--visibility <seconds>',
      'from now on, 0 to 43,200; with 0 they are visible at once',
      wholeNumber,
    ),
    (session, { visibility }: CommonOptions & { readonly visibility: number }, ...args) =>
      settle(session, args, 'extended', (queue, receipts) => queue.extend(receipts, visibility)),
  )
}

function attributeOptions(command: Command): Command {
  return command
    .option('--visibility <seconds>', 'how long a record that was received is hidden (30 at first)', wholeNumber)
    .option('--max-receives <n>', 'after so many times a record is a dead letter (6 at first)', positiveInteger)
    .option('--no-dead-letters', 'hand out a record until it is acknowledged or expires')
}

function createOptions(command: Command): Command {
  return attributeOptions(command)
    .option('-f, --from <position>', 'TRIM_HORIZON, LATEST, an ISO time, or an age such as 5m', 'LATEST')
    .option('--tag <key=value>', 'a note; may be given several times', tag, {})
    .option('--if-not-exists', 'succeed when the queue exists already')
}

function receiveOptions(command: Command): Command {
  return command
    .option('-n, --max <n>', 'most records, 1 to 10', positiveInteger, 10)
    .option('-w, --wait <seconds>', 'how long to wait for one, 0 to 20', wholeNumber, 0)
    .option('--visibility <seconds>', 'how long they are hidden (default: as the queue has it)', wholeNumber)
    .option('--ack', 'acknowledge them once they are printed')
}

async function create(session: Session, options: CreateOptions, name: string, queue: string): CommandResult {
  const from = parseStartAt(options.from, Date.now())
  if (typeof from === 'object' && !('timestamp' in from)) {
    throw new UsageError(`--from: expected a time, TRIM_HORIZON or LATEST for a queue, got '${options.from}'`)
  }
  const { tag: tags, ifNotExists } = options
  const settings: CreateQueueOptions = { from, tags, ifNotExists: ifNotExists === true, ...attributesOf(options) }
  await withStream(session, name, async (stream) => {
    await stream.createQueue(queue, settings)
    tell(session, stream, queue)
  })
}

async function update(session: Session, options: AttributeOptions, name: string, queue: string): CommandResult {
  const attributes = attributesOf(options)
  if (Object.keys(attributes).length === 0) {
    throw new UsageError('expected --visibility, --max-receives or --no-dead-letters: what is to be changed')
  }
  await withStream(session, name, async (stream) => {
    await (await stream.queue(queue)).update(attributes)
    tell(session, stream, queue)
  })
}

function attributesOf({ visibility, maxReceives, deadLetters }: AttributeOptions): QueueAttributes {
  const maxReceiveCount = deadLetters ? maxReceives : 'none'
  return {
    ...(visibility === undefined ? {} : { visibilitySeconds: visibility }),
    ...(maxReceiveCount === undefined ? {} : { maxReceiveCount }),
  }
}

/** Says what the queue is now. */
function tell(session: Session, stream: Stream, name: string): void {
  const queue = stream.queues().find((one) => one.name === name)
  if (session.json) session.out.json(queue)
  else
    session.out.line(
      `queue '${name}' of stream '${stream.name}': visibility ${queue?.visibilitySeconds} s, ` +
        `dead letters ${deadLettersText(queue?.maxReceiveCount)}`,
    )
}

async function list(session: Session, _options: CommonOptions, name: string): CommandResult {
  const queues = await withStream(session, name, (stream) =>
    Promise.all(
      stream
        .queues()
        .map(async (summary) => ({ ...summary, metrics: await (await stream.queue(summary.name)).metrics() })),
    ),
  )
  if (session.json) {
    session.out.json(queues)
    return
  }
  if (queues.length === 0) {
    session.note(`no queues on '${name}'; make one with: millrace queue create`)
    return
  }
  const rows = queues.map(({ name: queue, visibilitySeconds, maxReceiveCount, tags, metrics }) => [
    queue,
    count(metrics.visible),
    count(metrics.inFlight),
    count(metrics.deadLetters.visible + metrics.deadLetters.inFlight),
    `${visibilitySeconds} s`,
    deadLettersText(maxReceiveCount),
    tagsText(tags),
  ])
  const header = ['QUEUE', 'VISIBLE', 'IN FLIGHT', 'DEAD', 'VISIBILITY', 'DEAD LETTERS', 'TAGS']
  session.out.line(table(header, rows, ['left', 'right', 'right', 'right', 'right', 'left', 'left']))
}

async function deleteQueue(session: Session, _options: CommonOptions, name: string, queue: string): CommandResult {
  await withQueue(session, [name, queue], (opened) => opened.delete())
  if (session.json) session.out.json({ stream: name, deleted: queue })
  else session.out.line(`deleted queue '${queue}' of stream '${name}'`)
}

async function receive(
  session: Session,
  { max, wait, visibility, ack }: ReceiveCommandOptions,
  names: readonly string[],
  take: (queue: Queue, how: ReceiveOptions) => Promise<Message[]>,
): CommandResult {
  const { out, signal } = session
  const visibilitySeconds = visibility === undefined ? {} : { visibilitySeconds: visibility }
  return await withQueue(session, names, async (queue) => {
    const messages = await take(queue, { max, waitSeconds: wait, signal, ...visibilitySeconds })
    for (const message of messages) out.line(JSON.stringify(described(message)))
    // Whoever never saw a message must not have it acknowledged.
    await out.flush()
    if (ack !== true || messages.length === 0 || out.closed.aborted) return EXIT.ok
    return told(session, await queue.ack(messages))
  })
}

async function settle(
  session: Session,
  [name = '', queue = '', ...receipts]: readonly string[],
  what: string,
  work: (queue: Queue, receipts: readonly string[]) => Promise<Settled>,
): CommandResult {
  return await withQueue(session, [name, queue], async (opened) => {
    const settled = await work(opened, receipts)
    if (session.json) session.out.json(settled)
    else session.out.line(`${what} ${plural(settled.successful.length, 'record')} of queue '${queue}'`)
    return told(session, settled)
  })
}

/** Says on standard error which receipts failed and why. */
function told(session: Session, { failed }: Settled): number {
  for (const { error } of failed) session.note(`millrace: ${error.message} (${error.code})`)
  return failed.length === 0 ? EXIT.ok : EXIT.failure
}

async function withQueue<R>(
  session: Session,
  [name = '', queue = '']: readonly string[],
  work: (queue: Queue) => Promise<R>,
): Promise<R> {
  return await withStream(session, name, async (stream) => work(await stream.queue(queue)))
}

async function withStream<R>(session: Session, name: string, work: (stream: Stream) => Promise<R>): Promise<R> {
  return await session.withStore('existing', async (store) => work(await openBytes(store, name)))
}

function described(message: Message): object {
  const { receipt, recordId, partitionKey, shardId, receiveCount } = message
  const { approximateArrivalTimestamp, firstReceiveTimestamp } = message
  const data = textOrBase64(Buffer.from(message.data))
  return {
    receipt,
    recordId,
    partitionKey,
    shardId,
    receiveCount,
    approximateArrivalTimestamp,
    firstReceiveTimestamp,
    ...data,
  }
}

function deadLettersText(maxReceiveCount: number | 'none' | undefined): string {
  return typeof maxReceiveCount === 'number' ? `after ${plural(maxReceiveCount, 'receive')}` : 'none'
}
