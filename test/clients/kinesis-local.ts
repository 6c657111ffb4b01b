/** kinesis-local, an emulator of Kinesis in memory, as a server that the clients of the tests meet to be compared. */
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { start, type Running } from '../program.js'
import { emptyFolder } from '../support.js'
import { firstFailure, install } from './install.js'

/** The release that is compared. */
const KINESIS_LOCAL = '0.6.2'
/** How long it may take until it listens, in milliseconds, and how often that is tried. */
const LISTENS_MS_MAX = 30_000
const TRY_MS = 100

/** What takes half a second there by default; the stories of the clients do not wait for it. */
const SLOW = [
  'CREATE_STREAM',
  'DELETE_STREAM',
  'REGISTER_STREAM_CONSUMER',
  'DEREGISTER_STREAM_CONSUMER',
  'SPLIT_SHARD',
  'MERGE_SHARDS',
  'UPDATE_SHARD_COUNT',
  'UPDATE_STREAM_MODE',
  'START_STREAM_ENCRYPTION',
  'STOP_STREAM_ENCRYPTION',
]

/** The ports of a server, without TLS and with it. */
interface Ports {
  readonly plain: number
  readonly secure: number
}

export class KinesisLocal {
  /** The file of its certificate, in PEM. */
  readonly certificate: string
  readonly #package: string
  readonly #ports: Ports
  readonly #msMax: number
  #running: Running

  private constructor(folder: string, ports: Ports, msMax: number) {
    this.#package = folder
    this.#ports = ports
    this.#msMax = msMax
    this.certificate = join(emptyFolder(), 'certificate.pem')
    this.#running = this.#run()
    onTestFinished(() => this.#running.kill('SIGKILL'))
  }

  /** Starts it at ports that are free; it ends with the test. */
  static async start(msMax: number): Promise<KinesisLocal> {
    const installed = install(`kinesis-local-${KINESIS_LOCAL}`, '', [], (folder) => {
      const npm = ['install', '--silent', '--no-save', '--no-package-lock', '--prefix', folder]
      return firstFailure(['kinesis-local could not be installed', 'npm', [...npm, `kinesis-local@${KINESIS_LOCAL}`]])
    })
    if ('missing' in installed) throw new Error(installed.missing)
    const folder = join(installed.folder, 'node_modules', 'kinesis-local')
    const local = new KinesisLocal(folder, { plain: await freePort(), secure: await freePort() }, msMax)
    await local.#listens()
    return local
  }

  url(tls: boolean): string {
    const { plain, secure } = this.#ports
    return tls ? `https://localhost:${secure}` : `http://127.0.0.1:${plain}`
  }

  /** The variables by which clients find it. */
  envFor(tls: boolean): NodeJS.ProcessEnv {
    const names = tls ? ['AWS_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'] : []
    const trust = Object.fromEntries(names.map((name) => [name, this.certificate]))
    return { AWS_ENDPOINT_URL_KINESIS: this.url(tls), ...trust }
  }

  /** The variables by which a program in Java trusts it. */
  javaTrust(): NodeJS.ProcessEnv {
    const store = join(emptyFolder(), 'trust.p12')
    const into = ['-keystore', store, '-storepass', 'millrace']
    const args = ['-importcert', '-noprompt', '-alias', 'kinesis-local', '-file', this.certificate, ...into]
    const failed = firstFailure(['the certificate could not be imported', 'keytool', args])
    if (failed !== undefined) throw new Error(failed)
    return { JDK_JAVA_OPTIONS: `-Djavax.net.ssl.trustStore=${store} -Djavax.net.ssl.trustStorePassword=millrace` }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#running.kill(signal)
    await this.#running.ended
  }

  async startAgain(): Promise<void> {
    this.#running = this.#run()
    await this.#listens()
  }

  #run(): Running {
    const env = {
      ...process.env,
      ...Object.fromEntries(SLOW.map((name) => [`${name}_DURATION`, '1ms'])),
      KINESIS_MOCK_PLAIN_PORT: String(this.#ports.plain),
      KINESIS_MOCK_TLS_PORT: String(this.#ports.secure),
      KINESIS_MOCK_CERT_PATH: join(this.#package, 'server.json'),
      LOG_LEVEL: 'ERROR',
    }
    return start(process.execPath, [join(this.#package, 'main.js')], { cwd: emptyFolder(), env, msMax: this.#msMax })
  }

  /** Waits until it shows its certificate, and keeps that. */
  async #listens(): Promise<void> {
    const until = Date.now() + LISTENS_MS_MAX
    for (;;) {
      try {
        writeFileSync(this.certificate, await certificateAt(this.#ports.secure))
        return
      } catch (error) {
        if (Date.now() > until) throw error
        await new Promise((resolve) => setTimeout(resolve, TRY_MS))
      }
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The certificate that a server shows, and those above it, in PEM. */
async function certificateAt(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false })
  try {
    await once(socket, 'secureConnect')
    const chain: Buffer[] = []
    for (let shown = socket.getPeerCertificate(true); shown.raw !== undefined; shown = shown.issuerCertificate) {
      if (chain.some((known) => known.equals(shown.raw))) break
      chain.push(shown.raw)
      if (shown.issuerCertificate === undefined) break
    }
    const pem = (der: Buffer) =>
      `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`
    // The one above all others first: it is the one to trust.
    return chain.toReversed().map(pem).join('')
  } finally {
    socket.destroy()
  }
}
