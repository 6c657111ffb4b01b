/** `millrace channel`: the channels of a stream, which deliver its records to a bucket. */
import { Option, type Command } from 'commander'
import type { ChannelDescription, CreateChannelOptions, Stream } from '../../index.js'
import { positiveInteger, tag } from '../arguments.js'
import type { Register } from '../command.js'
import { fields, table } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { tagsText } from '../tags.js'

interface CreateOptions extends CommonOptions, Omit<CreateChannelOptions, 'freshnessSeconds' | 'tags'> {
  readonly freshness?: number
  readonly tag: Readonly<Record<string, string>>
}

interface UpdateOptions extends CommonOptions {
  readonly freshness: number
}

const EXAMPLES = `
A channel delivers what arrives after its creation to a bucket, as objects of at most 16 MiB of records. It delivers while
millrace serve runs, or a program that called deliverChannels(), and goes on where it stood.

Examples:
  $ millrace channel create clicks archive --bucket clicks --format json --compression gzip
  $ millrace serve --channels-directory ./buckets
  $ millrace channel list clicks
  $ millrace channel update clicks archive --freshness 60
  $ millrace channel delete clicks archive`

/** Adds the commands to the program. */
export function registerChannel(program: Command, register: Register): void {
  const group = program
    .command('channel')
    .description('channels of a stream: its records as objects in a bucket')
    .addHelpText('after', EXAMPLES)
  const ofStream = (name: string, description: string): Command =>
    commonOptions(group.command(name).description(description).argument('<stream>', 'name of the stream'))
  const ofChannel = (name: string, description: string): Command =>
    ofStream(name, description).argument('<channel>', 'name of the channel')
  register(ofStream('list', 'the channels, and where they deliver to'), list)
  register(createOptions(ofChannel('create', 'create a channel')), create)
  register(ofChannel('describe', 'how a channel is configured'), describe)
  register(
    ofChannel('update', 'change how old a record grows before it is delivered').requiredOption(
      '--freshness <seconds>',
      'so old, 1 to 900',
      positiveInteger,
    ),
    update,
  )
  register(ofChannel('delete', 'delete a channel; what it delivered stays, and so do the records'), deleteChannel)
}

function createOptions(command: Command): Command {
  const choice = (flags: string, description: string, choices: readonly string[]): Option =>
    new Option(flags, description).choices(choices)
  return command
    .requiredOption('--bucket <name>', 'the bucket that objects go to')
    .addOption(choice('--format <format>', 'what the records are', ['json', 'text', 'bytes']).makeOptionMandatory())
    .option('--freshness <seconds>', 'how old a record grows before it is delivered, 1 to 900 (300)', positiveInteger)
    .option('--key-template <text>', 'how keys begin ({stream}/{timestamp:yyyy/MM/dd/HH}/)')
    .addOption(choice('--compression <way>', 'how objects are compressed (none)', ['none', 'gzip']))
    .option('--dead-letter-bucket <name>', 'where records go that are not of the format (the same bucket)')
    .option('--dead-letter-prefix <text>', 'how their keys begin (errors/)')
    .option('--bucket-owner <account>', 'the account that an endpoint is to find as the owner')
    .addOption(
      choice('--storage-class <class>', 'what an endpoint is to store objects as', [
        'standard',
        'intelligent-tiering',
        'glacier-ir',
      ]),
    )
    .option('--encryption-key <key>', 'the key of KMS that an endpoint is to encrypt with')
    .option('--tag <key=value>', 'a note; may be given several times', tag, {})
    .option('--if-not-exists', 'succeed when the stream has the channel already')
}

async function create(session: Session, flags: CreateOptions, name: string, channel: string): CommandResult {
  const made = await withStream(session, name, async (stream) =>
    (await stream.createChannel(channel, settingsOf(flags))).describe(),
  )
  tell(session, name, made)
}

/** The flags as options of `createChannel`, which looks at its own alone. */
function settingsOf({ freshness, tag: tags, ...flags }: CreateOptions): CreateChannelOptions {
  return { ...flags, tags, ...(freshness !== undefined && { freshnessSeconds: freshness }) }
}

async function update(session: Session, { freshness }: UpdateOptions, name: string, channel: string): CommandResult {
  const changed = await withStream(session, name, async (stream) => {
    const opened = stream.channel(channel)
    await opened.update({ freshnessSeconds: freshness })
    return opened.describe()
  })
  tell(session, name, changed)
}

/** Says what the channel is now. */
function tell(session: Session, stream: string, channel: ChannelDescription): void {
  if (session.json) session.out.json(channel)
  else session.out.line(`channel '${channel.name}' of stream '${stream}': ${deliveryText(channel)}`)
}

async function list(session: Session, _options: CommonOptions, name: string): CommandResult {
  const channels = await withStream(session, name, (stream) => stream.channels())
  if (session.json) {
    session.out.json(channels)
    return
  }
  if (channels.length === 0) {
    session.note(`no channels of '${name}'; make one with: millrace channel create`)
    return
  }
  const rows = channels.map(({ name: channel, bucket, format, compression, freshnessSeconds, createdAt, tags }) => [
    channel,
    bucket,
    format,
    compression,
    `${freshnessSeconds} s`,
    createdAt.toISOString(),
    tagsText(tags),
  ])
  const header = ['CHANNEL', 'BUCKET', 'FORMAT', 'COMPRESSION', 'FRESHNESS', 'CREATED', 'TAGS']
  session.out.line(table(header, rows, ['left', 'left', 'left', 'left', 'right', 'left', 'left']))
}

async function describe(session: Session, _options: CommonOptions, name: string, channel: string): CommandResult {
  const told = await withStream(session, name, (stream) => stream.channel(channel).describe())
  if (session.json) {
    session.out.json(told)
    return
  }
  session.out.line(
    fields([
      ['Channel', `${told.name} of stream ${name}`],
      ['Delivers', deliveryText(told)],
      ['Keys', told.keyTemplate],
      ['Dead letters', `to bucket '${told.deadLetterBucket}', ${told.deadLetterPrefix}`],
      ...noted('Bucket owner', told.bucketOwner),
      ...noted('Storage class', told.storageClass),
      ...noted('Encryption key', told.encryptionKey),
      ['Created', told.createdAt.toISOString()],
      ...noted('Tags', tagsText(told.tags)),
    ]),
  )
}

async function deleteChannel(session: Session, _options: CommonOptions, name: string, channel: string): CommandResult {
  await withStream(session, name, (stream) => stream.channel(channel).delete())
  if (session.json) session.out.json({ stream: name, deleted: channel })
  else session.out.line(`deleted channel '${channel}' of stream '${name}'`)
}

async function withStream<R>(session: Session, name: string, work: (stream: Stream) => R | Promise<R>): Promise<R> {
  return await session.withStore('existing', async (store) => work(await openBytes(store, name)))
}

function deliveryText({ format, compression, bucket, freshnessSeconds }: ChannelDescription): string {
  const packed = compression === 'none' ? format : `${format}, ${compression}`
  return `to bucket '${bucket}' as ${packed}, when ${freshnessSeconds} s old`
}

/** A field of its own for what was given. */
function noted(name: string, text: string | undefined): (readonly [string, string])[] {
  return text === undefined || text === '' ? [] : [[name, text]]
}
