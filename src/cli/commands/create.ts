/** `millrace create`: a new stream. */
import { Option, type Command } from 'commander'
import type { CapacityMode, Durability, LimitPolicy, Retention } from '../../index.js'
import { durability, limits, LIMITS_FORMS, positiveInteger, retention, size, tag } from '../arguments.js'
import { bytesCodec } from '../bytes-codec.js'
import type { Register } from '../command.js'
import { durability as durabilityText, limits as limitsText, plural, retention as retentionText } from '../format.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface CreateOptions extends CommonOptions {
  readonly shards?: number
  readonly mode: CapacityMode
  readonly retention: Retention
  readonly durability: Durability
  readonly maxRecord: number
  readonly preallocate: number
  readonly codec: string
  readonly limits: LimitPolicy
  readonly tag: Readonly<Record<string, string>>
  readonly ifNotExists?: true
}

const EXAMPLES = `
Examples:
  $ millrace create clicks
  $ millrace create clicks --shards 4 --retention 7d
  $ millrace create orders --limits aws --tag team=checkout
  $ millrace create visits --mode on-demand
  $ millrace create ticks --durability os --max-record 10m --if-not-exists`

/** Adds the command to the program. */
export function registerCreate(program: Command, register: Register): void {
  const command = program.command('create').description('create a stream').argument('<stream>', 'name of the stream')
  commonOptions(command)
    .option(
      '-s, --shards <n>',
      'shards, over which the hash keys are divided evenly (default: 1; 4 on demand)',
      positiveInteger,
    )
    .addOption(
      new Option('--mode <mode>', 'who decides how many shards there are: you, or the traffic')
        .choices(['provisioned', 'on-demand'])
        .default('provisioned'),
    )
    .option(
      '-r, --retention <period>',
      'how long records stay: 24h to 365d, or unbounded',
      retention,
      '24h' as Retention,
    )
    .option('--durability <policy>', 'synced, interval:MS or os', durability, 'synced' as Durability)
    .option('--max-record <bytes>', 'largest record, key included; at most 10m', size, 1024 * 1024)
    .option('--preallocate <bytes>', 'disk space to prepare ahead of the first record', size, 0)
    .option('--codec <name>', 'how programs encode records: raw, json, lz4(raw), lz4(json)', 'raw')
    .option(
      '--limits <limits>',
      `what each shard takes and gives a second: ${LIMITS_FORMS}`,
      limits,
      'unlimited' as LimitPolicy,
    )
    .option('--tag <key=value>', 'a note; may be given several times', tag, {})
    .option('--if-not-exists', 'succeed when the stream exists already')
    .addHelpText('after', EXAMPLES)
  register(command, create)
}

async function create(session: Session, options: CreateOptions, name: string): CommandResult {
  const { shards, preallocate, mode } = options
  const description = await session.withStore('create', async (store) => {
    const existing = store.listStreams().find((summary) => summary.name === name)
    const stream = await store.createStream(name, {
      ...(shards === undefined ? {} : { shards }),
      mode,
      preallocate,
      retention: options.retention,
      durability: options.durability,
      maxRecordBytes: options.maxRecord,
      limits: options.limits,
      tags: options.tag,
      codec: bytesCodec(options.ifNotExists === true ? (existing?.codec ?? options.codec) : options.codec),
      ifNotExists: options.ifNotExists === true,
    })
    return { created: existing === undefined, ...stream.describe() }
  })
  if (session.json) {
    session.out.json(description)
    return
  }
  const settings = [
    plural(description.shards, 'shard'),
    `retention ${retentionText(description.retentionHours)}`,
    `durability ${durabilityText(description.durability)}`,
    ...(description.mode === 'provisioned' ? [] : [description.mode]),
    ...(description.limits === 'unlimited' ? [] : [`limits ${limitsText(description.limits)}`]),
  ]
  session.out.line(`${description.created ? 'created' : 'exists already:'} stream '${name}': ${settings.join(', ')}`)
}
