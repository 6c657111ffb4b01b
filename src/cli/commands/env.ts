/**
 * `millrace env`: the variables by which SDKs and the AWS command line find a server of this machine, with what Java needs to
 * trust it, or the properties by which the KPL and Flink do, which read no variables.
 */
import { dirname, join, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { portNumber } from '../arguments.js'
import type { Register } from '../command.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'

const EXAMPLES = `
Examples:
  $ eval "$(millrace env)" && aws kinesis list-streams
  $ millrace env --tls --data ./store       # as for: millrace serve --tls --data ./store
  $ eval "$(millrace env --client java --tls)"   # makes the key store by which Java trusts the server
  $ millrace env --client kpl --tls > kpl.properties
  $ millrace env --json`

/** What finds the server, and what it is told: lines of a shell, or of a file of properties. */
const CLIENTS = {
  sdk: { tell: ofSdks, as: 'shell' },
  java: { tell: ofJava, as: 'shell' },
  kcl: { tell: ofJava, as: 'shell' },
  kpl: { tell: ofKpl, as: 'properties' },
  flink: { tell: ofFlink, as: 'properties' },
} as const

/** Adds the command to the program. */
export function registerEnv(program: Command, register: Register): void {
  const command = program
    .command('env')
    .description('print the variables by which AWS SDKs find a server of this machine')
    .option('-p, --port <port>', 'port of the server', portNumber, 4567)
    .option('--host <name>', 'address of the server', 'localhost')
    .option('--region <region>', 'region of the server', 'us-east-1')
    .option('--tls', 'the server encrypts, with the authority of the store in --data')
    .addOption(new Option('--client <client>', 'what finds the server').choices(Object.keys(CLIENTS)).default('sdk'))
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
  readonly client: keyof typeof CLIENTS
}

async function run(session: Session, options: EnvOptions): CommandResult {
  const authority = resolve(session.directory, 'server', 'authority.pem')
  const { tell, as } = CLIENTS[options.client]
  const values = tell(options, authority)
  if (session.json) return session.out.json(values)
  if (Object.hasOwn(values, JAVA_OPTIONS)) session.out.line(madeKeyStore(authority))
  const line = as === 'shell' ? exported : property
  for (const [name, value] of Object.entries(values)) session.out.line(line(name, value))
}

function urlOf({ host, port, tls }: EnvOptions): string {
  return `${tls === true ? 'https' : 'http'}://${host}:${port}`
}

function ofSdks(options: EnvOptions, authority: string): Record<string, string> {
  const { region, tls } = options
  return {
    ...Object.fromEntries(SERVICES.map((service) => [`AWS_ENDPOINT_URL_${service}`, urlOf(options)])),
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    ...KEYS,
    // Nobody looks for a machine of AWS around it.
    AWS_EC2_METADATA_DISABLED: 'true',
    // Python and the command line, Node.js, Go and Rust, in this order.
    ...(tls === true && { AWS_CA_BUNDLE: authority, NODE_EXTRA_CA_CERTS: authority, SSL_CERT_FILE: authority }),
  }
}

const JAVA_OPTIONS = 'JDK_JAVA_OPTIONS'
const KEY_STORE_PASSWORD = 'millrace'

/** Java trusts what is in a key store. */
function ofJava(options: EnvOptions, authority: string): Record<string, string> {
  const trust = { trustStore: `"${keyStoreBeside(authority)}"`, trustStorePassword: KEY_STORE_PASSWORD }
  const properties = Object.entries(trust).map(([name, value]) => `-Djavax.net.ssl.${name}=${value}`)
  return { ...ofSdks(options, authority), ...(options.tls === true && { [JAVA_OPTIONS]: properties.join(' ') }) }
}

function keyStoreBeside(authority: string): string {
  return join(dirname(authority), 'authority.p12')
}

/** The command that makes the key store, each time anew: the authority may be another one. */
function madeKeyStore(authority: string): string {
  const store = keyStoreBeside(authority)
  const from = `-alias millrace -file ${quoted(authority)}`
  const into = `-keystore ${quoted(store)} -storepass ${KEY_STORE_PASSWORD}`
  const failed = quoted(`millrace env: could not make ${store}: has the server run with --tls, and is a JDK installed?`)
  return `rm -f ${quoted(store)}; keytool -importcert -noprompt ${from} ${into} 2>/dev/null || echo ${failed} >&2`
}

/** What `KinesisProducerConfiguration.fromPropertiesFile` reads. The KPL speaks over TLS alone. */
function ofKpl({ host, port, region }: EnvOptions, authority: string): Record<string, string> {
  const at = (service: string): Record<string, string> => ({
    [`${service}Endpoint`]: host,
    [`${service}Port`]: String(port),
  })
  return { ...at('Kinesis'), ...at('Cloudwatch'), ...at('Sts'), Region: region, CaCertFile: authority }
}

/** What the connector of Flink is given; it looks for keys where SDKs do. */
function ofFlink(options: EnvOptions): Record<string, string> {
  return { 'aws.endpoint': urlOf(options), 'aws.region': options.region }
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
