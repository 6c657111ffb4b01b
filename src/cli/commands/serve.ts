/** `millrace serve`: Kinesis over HTTP on a store, until a signal comes. */
import { existsSync, readFileSync } from 'node:fs'
import { Option, type Command } from 'commander'
import type { Durability, LimitPolicy, ServeChannels, ServeLog, ServeOptions } from '../../index.js'
import { durability, limits, LIMITS_FORMS, portNumber, wholeNumber } from '../arguments.js'
import type { Register } from '../command.js'
import { readCredentials } from '../credentials.js'
import { CommandFailure } from '../exit.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'

const EXAMPLES = `
Examples:
  $ millrace serve                                   # http://127.0.0.1:4567, anybody on this machine may call
  $ millrace serve --tls --credentials ~/.aws/credentials --host 0.0.0.0
  $ millrace serve --config serve.json               # the options of millrace.serve() as JSON; flags go before it
  $ eval "$(millrace env)" && aws kinesis list-streams`

/** Adds the command to the program. */
export function registerServe(program: Command, register: Register): void {
  const command = program
    .command('serve')
    .description('serve the streams as Amazon Kinesis does, to SDKs and the AWS command line')
    .option('-p, --port <port>', 'port to listen on; 0 lets the system choose (default: 4567)', portNumber)
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--tls', 'encrypt, with a certificate of an authority that is made for this store')
    .option('--cert <file>', 'encrypt with this certificate in PEM')
    .option('--key <file>', 'the key of --cert')
    .option('--credentials <file>', 'verify signatures by the keys of a file in the form of ~/.aws/credentials')
    .option('--account <digits>', 'account that ARNs name (default: 000000000000)')
    .option('--region <region>', 'region that ARNs name (default: us-east-1)')
    .option('--durability <policy>', 'of streams that clients create: synced, os or interval:MS', durability)
    .option(
      '--limits <limits>',
      `of streams that clients create: ${LIMITS_FORMS}, off, or a file of JSON with such numbers (default: aws)`,
      givenLimits,
    )
    .option('--create-stream-ms <ms>', 'tell what was created as CREATING for so long (default: 0)', wholeNumber)
    .option(
      '--update-stream-ms <ms>',
      'tell streams that were changed as UPDATING for so long (default: 0)',
      wholeNumber,
    )
    .option('--delete-stream-ms <ms>', 'tell what was deleted as DELETING for so long (default: 0)', wholeNumber)
    .option(
      '--shard-limit <count>',
      "at most so many shards in all provisioned streams (default: AWS's quota, with --limits aws)",
      wholeNumber,
    )
    .option(
      '--on-demand-stream-limit <count>',
      'at most so many on-demand streams (default: 50, with --limits aws)',
      wholeNumber,
    )
    .option('--channels-directory <dir>', 'deliver channels there, a folder a bucket (default: channels in the store)')
    .option('--channels-endpoint <url>', 'deliver channels to the buckets of this endpoint, which speaks S3')
    .option('--channels-credentials <file>', 'sign what goes to --channels-endpoint by the first key of this file')
    .addOption(
      new Option('--log <level>', 'what goes to standard error, as lines of JSON (default: info)').choices([
        'off',
        'error',
        'warn',
        'info',
        'debug',
      ]),
    )
    .option('--config <file>', 'a file of JSON with the options of millrace.serve()')
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, run)
}

interface ServeFlags extends CommonOptions {
  readonly port?: number
  readonly host?: string
  readonly tls?: true
  readonly cert?: string
  readonly key?: string
  readonly credentials?: string
  readonly account?: string
  readonly region?: string
  readonly durability?: Durability
  readonly limits?: LimitPolicy
  readonly createStreamMs?: number
  readonly updateStreamMs?: number
  readonly deleteStreamMs?: number
  readonly shardLimit?: number
  readonly onDemandStreamLimit?: number
  readonly channelsDirectory?: string
  readonly channelsEndpoint?: string
  readonly channelsCredentials?: string
  readonly log?: ServeLog
  readonly config?: string
}

async function run(session: Session, flags: ServeFlags): CommandResult {
  const options = { log: 'info', ...configured(flags.config), ...given(flags) } as const
  await session.withStore('create', async (store) => {
    await using server = await store.serve(options)
    const { url, certificateAuthority } = server
    // The server's own log says so too, where it has one.
    if (options.credentials === undefined && (options.log === 'off' || options.log === 'error')) {
      session.note('millrace: warning: signatures are not verified: anybody on this machine may call')
    }
    if (certificateAuthority !== undefined) session.note(`millrace: clients have to trust ${certificateAuthority}`)
    if (session.json) session.out.json({ url, certificateAuthority, directory: session.directory })
    else session.out.line(`serving ${session.directory} at ${url}`)
    await session.out.flush()
    await aborted(session.signal)
    session.note('millrace: stopping; requests that are under way finish')
  })
}

/** What `--limits` says. */
function givenLimits(text: string): LimitPolicy {
  if (text === 'off') return 'unlimited'
  return existsSync(text) ? (json(text, 'limits') as LimitPolicy) : limits(text)
}

/** The flags that were given, as options of `serve`. */
function given(flags: ServeFlags): ServeOptions {
  const { port, host, account, region, durability, limits, log } = flags
  const { createStreamMs, updateStreamMs, deleteStreamMs, shardLimit, onDemandStreamLimit } = flags
  const files = flags.cert !== undefined && flags.key !== undefined
  if (!files && (flags.cert ?? flags.key) !== undefined) {
    throw new CommandFailure('ERR_USAGE', 'expected --cert and --key together')
  }
  const tls = files ? { certificate: flags.cert, key: flags.key } : flags.tls
  const credentials = flags.credentials === undefined ? undefined : readCredentials(flags.credentials)
  const channels = givenChannels(flags)
  const states = { createStreamMs, updateStreamMs, deleteStreamMs, shardLimit, onDemandStreamLimit }
  const options = { port, host, account, region, durability, limits, log, tls, credentials, channels, ...states }
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** Where channels are to deliver to; endpoints and their keys are of one region, the server's. */
function givenChannels(flags: ServeFlags): ServeChannels | undefined {
  const { channelsDirectory: directory, channelsEndpoint: endpoint, channelsCredentials, region } = flags
  if (directory !== undefined && endpoint !== undefined) {
    throw new CommandFailure('ERR_USAGE', 'expected --channels-directory or --channels-endpoint, got both')
  }
  if (endpoint === undefined && channelsCredentials !== undefined) {
    throw new CommandFailure('ERR_USAGE', 'expected --channels-endpoint with --channels-credentials')
  }
  if (directory !== undefined) return { directory }
  if (endpoint === undefined) return undefined
  const credential = channelsCredentials === undefined ? undefined : readCredentials(channelsCredentials)[0]
  return { endpoint, ...(region !== undefined && { region }), ...(credential !== undefined && { credential }) }
}

function configured(path: string | undefined): ServeOptions {
  return path === undefined ? {} : (json(path, 'options') as ServeOptions)
}

/** What a file of JSON holds. */
function json(path: string, what: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new CommandFailure('ERR_CONFIG', `cannot read the ${what} in ${path}: ${(error as Error).message}`)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
