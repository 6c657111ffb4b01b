/**
 * A `millrace serve` for a client of the tests: on a store of its own, with signatures that are verified, and the variables
 * that `millrace env` prints for it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { runProgram, startProgram, type Running } from '../program.js'
import { emptyFolder } from '../support.js'

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIDCLIENT', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }

interface ServeOptions {
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
  /** What `millrace env` prints for a client that reads no variables. */
  envFor(client: 'kpl'): string
  /** All that it has logged, also before it was started anew. */
  log(): string
  /** Ends it, and waits for that. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts it anew at the same address, on the same store. */
  start(): Promise<void>
}

/** Starts a server on an empty store, at a port that is free. */
export async function serve({ tls, msMax }: ServeOptions): Promise<Server> {
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
    env: { ...variables, ...KEYS, AWS_EC2_METADATA_DISABLED: 'true' },
    authority: tls ? join(store, 'server', 'authority.pem') : undefined,
    envFor: (client) => envWith('--client', client),
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
