/**
 * A `millrace serve` for a client of the tests: on a store of its own, with signatures that are verified, and the variables
 * that `millrace env` prints for it. `npm run clients:compare` lets the same tests meet another server.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { runProgram, startProgram, type Running } from '../program.js'
import { emptyFolder } from '../support.js'
import { KinesisLocal } from './kinesis-local.js'

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIDCLIENT', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }

/** How a server is started for a client. */
export interface ServeOptions {
  readonly tls: boolean
  /** The longest that the server goes on, in milliseconds. */
  readonly msMax: number
}

/** A server, which ends with its test. */
export interface Server {
  /** The variables by which clients find it, with the keys that it knows. */
  readonly env: NodeJS.ProcessEnv
  /** The file of the authority that clients have to trust, with TLS. */
  readonly authority: string | undefined
  /** What `millrace env` prints for a client that reads a file of properties. */
  propertiesFor(client: 'kpl' | 'flink'): string
  /** The variables by which a program in Java finds it, and trusts it. */
  javaEnv(): NodeJS.ProcessEnv
  /** All that it has logged, also before it was started anew. */
  log(): string
  /** Ends it, and waits for that. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts it anew at the same address, on the same store. */
  start(): Promise<void>
}

/** The server that clients meet. */
export const SERVER = process.env['CLIENTS_SERVER'] ?? 'millrace'

/** Starts the server that clients meet, with nothing in it, at a port that is free. */
export function serve(options: ServeOptions): Promise<Server> {
  return SERVER === 'millrace' ? serveMillrace(options) : serveKinesisLocal(options)
}

/** kinesis-local, and beside it the tables and the metrics of Millrace, which it does not have. */
async function serveKinesisLocal({ tls, msMax }: ServeOptions): Promise<Server> {
  const beside = await serveMillrace({ tls: false, msMax })
  const local = await KinesisLocal.start(msMax)
  const env = { ...beside.env, ...local.envFor(tls) }
  return {
    env,
    authority: tls ? local.certificate : undefined,
    propertiesFor: (client) => {
      if (client === 'flink') return `aws.endpoint=${local.url(tls)}\naws.region=us-east-1\n`
      throw new Error('left out: all services of one client would have to be behind one authority')
    },
    javaEnv: () => ({ ...env, ...(tls && local.javaTrust()) }),
    log: () => '',
    end: (signal) => local.end(signal),
    start: () => local.startAgain(),
  }
}

async function serveMillrace({ tls, msMax }: ServeOptions): Promise<Server> {
  const folder = emptyFolder()
  const store = join(folder, 'store')
  const credentials = join(folder, 'credentials')
  writeFileSync(
    credentials,
    `[default]\naws_access_key_id = ${KEYS.AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${KEYS.AWS_SECRET_ACCESS_KEY}\n`,
  )
  const encrypted = tls ? ['--tls'] : []
  const lives: Running[] = []
  onTestFinished(() => lives.at(-1)?.kill('SIGKILL'))
  const startAt = async (port: string): Promise<string> => {
    const options = ['--port', port, '--log', 'debug', '--credentials', credentials]
    const server = startProgram(store, ['serve', ...options, ...encrypted], msMax)
    lives.push(server)
    await server.heard('\n')
    return /:(\d+)\s*$/.exec(server.output())?.[1] ?? ''
  }
  const port = await startAt('0')
  const envWith = (...options: string[]): string => {
    return runProgram(store, ['env', '--port', port, ...encrypted, ...options]).stdout
  }
  const variables = JSON.parse(envWith('--json')) as NodeJS.ProcessEnv
  return {
    env: { ...variables, ...KEYS },
    authority: tls ? join(store, 'server', 'authority.pem') : undefined,
    propertiesFor: (client) => envWith('--client', client),
    javaEnv: () => ({ ...evaluated(envWith('--client', 'java')), ...KEYS }),
    log: () => lives.map((server) => server.errors()).join(''),
    async end(signal) {
      lives.at(-1)?.kill(signal)
      await lives.at(-1)?.ended
    },
    async start() {
      await startAt(port)
    },
  }
}

/** The variables that a shell has once it has evaluated these lines. */
function evaluated(lines: string): NodeJS.ProcessEnv {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', `${lines}\nenv -0`], { encoding: 'utf8' })
  if (status !== 0 || stderr !== '') throw new Error(`the lines of millrace env: ${stderr}`)
  return Object.fromEntries([...stdout.matchAll(/([^=\0]+)=([^\0]*)\0/g)].map(([, name, value]) => [name, value]))
}
