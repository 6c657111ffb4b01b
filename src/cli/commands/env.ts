/**
 * `millrace env`: the variables by which SDKs and the AWS command line find a server of this machine, or the properties by
 * which the KPL does, which reads no variables.
 */
import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { portNumber } from '../arguments.js'
import type { Register } from '../command.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'

const EXAMPLES = `
Examples:
  $ eval "$(millrace env)" && aws kinesis list-streams
  $ millrace env --tls --data ./store       # as for: millrace serve --tls --data ./store
  $ millrace env --client kpl --tls > kpl.properties
  $ millrace env --json`

/** Adds the command to the program. */
export function registerEnv(program: Command, register: Register): void {
  const command = program
    .command('env')
    .description('print the variables by which AWS SDKs find a server of this machine')
    .option('-p, --port <port>', 'port of the server', portNumber, 4567)
    .option('--host <name>', 'address of the server', 'localhost')
    .option('--region <region>', 'region of the server', 'us-east-1')
    .option('--tls', 'the server encrypts, with the authority of the store in --data')
    .addOption(new Option('--client <client>', 'what finds the server').choices(['sdk', 'kpl']).default('sdk'))
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, run)
}

/** Any keys do for a server without credentials. */
const KEYS = { AWS_ACCESS_KEY_ID: 'millrace', AWS_SECRET_ACCESS_KEY: 'millrace' }

/** The services for which a server answers, as their variables name them. */
const SERVICES = ['KINESIS', 'DYNAMODB', 'CLOUDWATCH', 'STS'] as const

interface EnvOptions extends CommonOptions {
  readonly port: number
  readonly host: string
  readonly region: string
  readonly tls?: true
  readonly client: 'sdk' | 'kpl'
}

async function run(session: Session, options: EnvOptions): CommandResult {
  const authority = resolve(session.directory, 'server', 'authority.pem')
  const ofClient = options.client === 'kpl' ? ofKpl : ofSdks
  const values = ofClient(options, authority)
  if (session.json) session.out.json(values)
  else if (options.client === 'kpl')
    for (const [name, value] of Object.entries(values)) session.out.line(property(name, value))
  else for (const [name, value] of Object.entries(values)) session.out.line(exported(name, value))
}

function ofSdks({ host, port, region, tls }: EnvOptions, authority: string): Record<string, string> {
  const url = `${tls === true ? 'https' : 'http'}://${host}:${port}`
  return {
    ...Object.fromEntries(SERVICES.map((service) => [`AWS_ENDPOINT_URL_${service}`, url])),
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    ...KEYS,
    // Python and the command line, Node.js, Go and Rust, in this order.
    ...(tls === true && { AWS_CA_BUNDLE: authority, NODE_EXTRA_CA_CERTS: authority, SSL_CERT_FILE: authority }),
  }
}

/** What `KinesisProducerConfiguration.fromPropertiesFile` reads. The KPL speaks over TLS alone. */
function ofKpl({ host, port, region }: EnvOptions, authority: string): Record<string, string> {
  const at = (service: string): Record<string, string> => ({
    [`${service}Endpoint`]: host,
    [`${service}Port`]: String(port),
  })
  return { ...at('Kinesis'), ...at('Cloudwatch'), ...at('Sts'), Region: region, CaCertFile: authority }
}

/** A line of a file of properties, as Java reads them. */
function property(name: string, value: string): string {
  return `${name}=${value.replaceAll('\\', String.raw`\\`)}`
}

/** A line of a shell; keys that are set already stay, and are not printed. */
function exported(name: string, value: string): string {
  return Object.hasOwn(KEYS, name) ? `export ${name}="\${${name}:-${value}}"` : `export ${name}=${quoted(value)}`
}

/** A value as a shell takes it, whatever is in it. */
function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`
}
