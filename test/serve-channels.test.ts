/** Channels as Kinesis software meets them: the AWS SDK for JavaScript, and buckets in a folder or behind an endpoint. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import {
  CreateChannelCommand,
  CreateStreamCommand,
  DeleteChannelCommand,
  KinesisClient,
  ListChannelsCommand,
  PutRecordCommand,
  UpdateChannelCommand,
} from '@aws-sdk/client-kinesis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Millrace, type ServeOptions } from '../src/index.js'
import { MAIN, runProgram, start, startProgram } from './program.js'
import { codeOf } from './store.js'
import { emptyFolder } from './support.js'

const ACCOUNT = '000000000000'
const KEY = { accessKeyId: 'anybody', secretAccessKey: 'anything' }

/** A client of a server with the stream `clicks`, one record of which is delivered after a second. */
async function delivering(options: ServeOptions): Promise<KinesisClient> {
  const store = await Millrace.open(emptyFolder())
  onTestFinished(() => store.close())
  const { url } = await store.serve({ port: 0, log: 'off', limits: 'unlimited', ...options })
  return await withChannel(url)
}

/** A client of the server at a URL, which gets a stream, a channel and a record. */
async function withChannel(url: string): Promise<KinesisClient> {
  const kinesis = new KinesisClient({ endpoint: url, region: 'us-east-1', credentials: KEY, maxAttempts: 1 })
  onTestFinished(() => kinesis.destroy())
  await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 1 }))
  const StreamARN = `arn:aws:kinesis:us-east-1:${ACCOUNT}:stream/clicks`
  const { ChannelDescription } = await kinesis.send(
    new CreateChannelCommand({
      ChannelName: 'archive',
      ServiceExecutionRoleARN: `arn:aws:iam::${ACCOUNT}:role/delivery`,
      StreamConfigurationList: [{ StreamARN, RecordConfiguration: { RecordFormatType: 'STRING' } }],
      S3DestinationConfiguration: {
        DataFreshnessInSeconds: 1,
        StorageConfiguration: {
          BucketARN: 'arn:aws:s3:::archive',
          ExpectedBucketOwner: ACCOUNT,
          CompressionType: 'GZIP',
        },
      },
    }),
  )
  expect(ChannelDescription).toMatchObject({ ChannelStatus: 'ACTIVE', ChannelCreationTimestamp: expect.any(Date) })
  await kinesis.send(new PutRecordCommand({ StreamName: 'clicks', PartitionKey: 'k', Data: Buffer.from('one') }))
  return kinesis
}

test('a channel delivers to a folder, and is changed, listed and deleted', async () => {
  const directory = emptyFolder()
  const kinesis = await delivering({ channels: { directory } })
  const objects = () =>
    readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.txt.gz'))
  await vi.waitFor(() => expect(objects()).toHaveLength(1), { timeout: 20_000 })
  expect(gunzipSync(readFileSync(join(directory, objects()[0] ?? ''))).toString()).toBe('one\n')
  const { ChannelSummaries = [] } = await kinesis.send(new ListChannelsCommand())
  const ChannelARN = ChannelSummaries[0]?.ChannelARN ?? ''
  expect(ChannelARN).toBe(`arn:aws:kinesis:us-east-1:${ACCOUNT}:channel/archive`)
  const { ChannelDescription } = await kinesis.send(
    new UpdateChannelCommand({ ChannelARN, S3DestinationConfiguration: { DataFreshnessInSeconds: 60 } }),
  )
  expect(ChannelDescription?.S3DestinationConfiguration?.DataFreshnessInSeconds).toBe(60)
  await kinesis.send(new DeleteChannelCommand({ ChannelARN }))
  expect((await kinesis.send(new ListChannelsCommand())).ChannelSummaries).toEqual([])
})

/** The first request that comes, with its body, once it was answered. */
async function received(server: HttpServer): Promise<{ request: IncomingMessage; body: Buffer }> {
  const [request, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse]
  const chunks: Buffer[] = await request.toArray()
  response.end()
  return { request, body: Buffer.concat(chunks) }
}

test('a channel delivers to an endpoint that speaks S3, signed', async () => {
  const bucket = createServer()
  const stored = received(bucket)
  await once(bucket.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void bucket.close())
  const endpoint = `http://127.0.0.1:${(bucket.address() as AddressInfo).port}`
  await delivering({ channels: { endpoint, region: 'eu-west-1', credential: KEY } })
  const { request, body } = await stored
  expect(request.method).toBe('PUT')
  expect(request.url).toMatch(/^\/archive\/clicks\/\d{4}\/\d\d\/\d\d\/\d\d\/archive-[^/]+\.txt\.gz$/)
  expect(request.headers.authorization).toMatch(/Credential=anybody\/\d{8}\/eu-west-1\/s3\/aws4_request/)
  expect(gunzipSync(body).toString()).toBe('one\n')
})

const openssl = spawnSync('openssl', ['version'])
const noCertificate = openssl.status === 0 ? '' : ' (skipped: openssl is not there)'

test.skipIf(noCertificate !== '')(
  `a channel delivers over TLS to an endpoint that it trusts${noCertificate}`,
  async () => {
    const folder = emptyFolder()
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    const names = ['-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE']
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost', ...names]
    expect(spawnSync('openssl', [...made, '-keyout', key, '-out', cert]).status).toBe(0)
    const bucket = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) })
    const stored = received(bucket)
    await once(bucket.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void bucket.close())
    const endpoint = `https://localhost:${(bucket.address() as AddressInfo).port}`
    const flags = ['serve', '--port', '0', '--limits', 'off', '--channels-endpoint', endpoint]
    const env = { ...process.env, MILLRACE_DATA: join(folder, 'store'), SSL_CERT_FILE: cert }
    const server = start(process.execPath, [MAIN, ...flags], { env, msMax: 60_000 })
    onTestFinished(() => server.kill('SIGKILL'))
    await server.heard('\n')
    await withChannel(/http:\S+/.exec(server.output())?.[0] ?? '')
    const { request, body } = await stored
    expect(request.url).toMatch(/^\/archive\/clicks\/.*\.txt\.gz$/)
    expect(gunzipSync(body).toString()).toBe('one\n')
  },
)

test('what cannot be delivered is told in the log, with the reason', async () => {
  const closed = createServer()
  await once(closed.listen(0, '127.0.0.1'), 'listening')
  const { port } = closed.address() as AddressInfo
  await new Promise((resolve) => closed.close(resolve))
  const flags = ['--port', '0', '--limits', 'off', '--channels-endpoint', `http://127.0.0.1:${port}`]
  const server = startProgram(emptyFolder(), ['serve', ...flags])
  onTestFinished(() => server.kill('SIGKILL'))
  await server.heard('\n')
  await withChannel(/http:\S+/.exec(server.output())?.[0] ?? '')
  await vi.waitFor(() => expect(server.errors()).toContain('not delivered'), { timeout: 20_000 })
  const line =
    server
      .errors()
      .split('\n')
      .find((text) => text.includes('not delivered')) ?? ''
  expect(JSON.parse(line)).toMatchObject({
    level: 'WARN',
    bucket: 'archive',
    error: expect.stringContaining('refused'),
  })
})

test('an endpoint that is none is refused at the start', async () => {
  const store = await Millrace.open(emptyFolder())
  onTestFinished(() => store.close())
  const started = store.serve({ port: 0, log: 'off', channels: { endpoint: 'archive' } })
  expect(await codeOf(started)).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
})

test('the command line takes a folder or an endpoint, and a key for an endpoint alone', () => {
  const serve = (...flags: string[]) => runProgram(emptyFolder(), ['serve', ...flags]).stderr
  const both = serve('--channels-directory', 'buckets', '--channels-endpoint', 'http://localhost:9000')
  expect(both).toContain('expected --channels-directory or --channels-endpoint, got both')
  expect(serve('--channels-credentials', 'keys')).toContain('expected --channels-endpoint with --channels-credentials')
})
