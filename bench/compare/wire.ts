/**
 * Kinesis over HTTP/1.1 without an SDK, so that one load generator serves every server alike and costs little of what is
 * measured: requests in JSON, signed as a server that verifies wants them.
 */
import { createHash, createHmac } from 'node:crypto'
import { Agent, type IncomingMessage, request } from 'node:http'

/** The keys of every request. */
export const KEYS = { accessKeyId: 'AKIDBENCH', secretAccessKey: 'bench-secret' }

const REGION = 'us-east-1'
const JSON_TYPE = 'application/x-amz-json-1.1'

/** A request that can be sent again and again while its date holds: five minutes. */
export interface Signed {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** A server to talk to, over connections that are kept. */
export class Wire {
  readonly #port: number
  readonly #agent: Agent

  constructor(port: number, connections: number) {
    this.#port = port
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** Makes and signs a call. */
  sign(operation: string, parameters: object): Signed {
    const body = Buffer.from(JSON.stringify(parameters))
    return { headers: signedHeaders(`127.0.0.1:${this.#port}`, operation, body), body }
  }

  /** Sends a call; resolves to the whole answer, or rejects with what the server said. */
  async send(signed: Signed): Promise<string> {
    const response = await this.open(signed)
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('latin1')
    if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${text.slice(0, 150)}`)
    return text
  }

  /** Sends a call; resolves once its answer begins. */
  open({ headers, body }: Signed): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.#port, method: 'POST', path: '/', agent: this.#agent, headers }
      request(options, resolve).on('error', reject).end(body)
    })
  }

  /** Makes and sends a call, and reads its answer. */
  async call(operation: string, parameters: object): Promise<Record<string, unknown>> {
    const text = await this.send(this.sign(operation, parameters))
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** The messages of an event stream, as they come: the payload of each. */
export async function* messages(response: IncomingMessage): AsyncGenerator<Buffer> {
  // Prelude and its checksum before the headers, the message's checksum behind the payload.
  const [PRELUDE, CHECKSUM] = [12, 4]
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of response) {
    rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer])
    while (rest.length >= PRELUDE && rest.length >= rest.readUInt32BE(0)) {
      const bytes = rest.readUInt32BE(0)
      yield rest.subarray(PRELUDE + rest.readUInt32BE(4), bytes - CHECKSUM)
      rest = rest.subarray(bytes)
    }
  }
}

/** Headers with a signature of version 4. */
function signedHeaders(host: string, operation: string, body: Buffer): Record<string, string> {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const headers: Record<string, string> = {
    'content-type': JSON_TYPE,
    host,
    'x-amz-date': time,
    'x-amz-target': `Kinesis_20131202.${operation}`,
  }
  const names = Object.keys(headers).join(';')
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const canonical = `POST\n/\n\n${lines.join('')}\n${names}\n${sha256(body)}`
  const scope = `${day}/${REGION}/kinesis/aws4_request`
  const parts = [day, REGION, 'kinesis', 'aws4_request']
  const key = parts.reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${KEYS.secretAccessKey}`)
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`).toString('hex')
  const credential = `${KEYS.accessKeyId}/${scope}`
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`,
    'content-length': String(body.length),
  }
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
