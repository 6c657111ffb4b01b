/** The server as Kinesis software meets it: the AWS SDK for JavaScript, over HTTP/2 and HTTP/1.1, encrypted or not. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeLimitsCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  IncreaseStreamRetentionPeriodCommand,
  KinesisClient,
  ListShardsCommand,
  ListStreamsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
  waitUntilStreamExists,
  waitUntilStreamNotExists,
  type KinesisClientConfig,
} from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Millrace, type ServeOptions, type Server } from '../src/index.js'
import { prometheusText } from '../src/prometheus.js'
import { runProgram, startProgram } from './program.js'
import { emptyFolder } from './support.js'

const ANYBODY = { accessKeyId: 'anybody', secretAccessKey: 'anything' }

/** A server on a store of its own; both go away with the test. */
async function served(
  options: ServeOptions = {},
  folder = emptyFolder(),
): Promise<{ store: Millrace; server: Server }> {
  const store = await Millrace.open(folder)
  const server = await store.serve({ port: 0, log: 'off', limits: 'unlimited', ...options })
  onTestFinished(() => store.close())
  return { store, server }
}

/** A client as an application makes one; it goes away with the test. */
function client(endpoint: string, config: KinesisClientConfig = {}): KinesisClient {
  const made = new KinesisClient({ endpoint, region: 'us-east-1', credentials: ANYBODY, maxAttempts: 1, ...config })
  onTestFinished(() => made.destroy())
  return made
}

const http1 = (agent?: Agent): KinesisClientConfig => ({
  requestHandler: agent === undefined ? new NodeHttpHandler() : new NodeHttpHandler({ httpsAgent: agent }),
})

/** All records of a shard from its beginning. */
async function readAll(kinesis: KinesisClient, name: string, shardId: string): Promise<string[]> {
  const position = { StreamName: name, ShardId: shardId, ShardIteratorType: 'TRIM_HORIZON' } as const
  const { ShardIterator } = await kinesis.send(new GetShardIteratorCommand(position))
  const { Records = [] } = await kinesis.send(new GetRecordsCommand({ ShardIterator }))
  return Records.map(({ Data = new Uint8Array() }) => Buffer.from(Data).toString())
}

/** What a round trip puts, and reads. */
const ALL = ['one', 'two', 'three']

/** Makes a stream, puts records by both calls, and reads them. */
async function roundTrip(kinesis: KinesisClient): Promise<string[]> {
  await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 1 }))
  const one = { StreamName: 'clicks', PartitionKey: 'user-1', Data: Buffer.from('one') }
  const put = await kinesis.send(new PutRecordCommand(one))
  expect(put).toMatchObject({ ShardId: 'shardId-000000000000', SequenceNumber: expect.stringMatching(/^495\d{53}$/) })
  const Records = ['two', 'three'].map((text) => ({ PartitionKey: text, Data: Buffer.from(text) }))
  const { FailedRecordCount } = await kinesis.send(new PutRecordsCommand({ StreamName: 'clicks', Records }))
  expect(FailedRecordCount).toBe(0)
  return await readAll(kinesis, 'clicks', 'shardId-000000000000')
}

describe('the AWS SDK for JavaScript', () => {
  test('puts and gets over HTTP/2 in clear text, as it comes', async () => {
    const { server } = await served()
    expect(await roundTrip(client(server.url))).toEqual(ALL)
  })

  test('puts and gets over HTTP/1.1', async () => {
    const { server } = await served()
    expect(await roundTrip(client(server.url, http1()))).toEqual(ALL)
  })

  test('puts and gets over TLS with the development authority', async () => {
    const { server } = await served({ tls: true })
    expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const ca = readFileSync(server.certificateAuthority as string, 'utf8')
    expect(await roundTrip(client(server.url, http1(new Agent({ ca }))))).toEqual(ALL)
  })

  test('leaves metrics by the names that the package exports', async () => {
    const { store, server } = await served()
    await roundTrip(client(server.url))
    const types = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('# TYPE millrace_'))
    const scraped = await (await fetch(`${server.url}/metrics`)).text()
    const ofStreams = types(scraped).filter((line) => !line.includes(' millrace_server_'))
    await store.stream('clicks')
    const exported = prometheusText(store.metrics())
    expect(ofStreams).toEqual(types(exported))
    expect(ofStreams.length).toBeGreaterThan(30)
    const samples = (text: string): string[] =>
      text.split('\n').filter((line) => line.includes('_total{stream="clicks"'))
    expect(samples(scraped)).toEqual(samples(exported))
  })

  test('is verified by its signature where there are credentials', async () => {
    const { server } = await served({ credentials: [{ accessKeyId: 'AKID', secretAccessKey: 'secret' }] })
    const known = { credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret' } }
    expect(await roundTrip(client(server.url, known))).toEqual(ALL)
    await roundTripFails(client(server.url, { credentials: { ...known.credentials, secretAccessKey: 'guess' } }))
    const nobody = client(server.url).send(new ListStreamsCommand({}))
    await expect(nobody).rejects.toMatchObject({ name: 'UnrecognizedClientException' })
  })

  async function roundTripFails(kinesis: KinesisClient): Promise<void> {
    const listed = kinesis.send(new ListStreamsCommand({}))
    await expect(listed).rejects.toMatchObject({ name: 'InvalidSignatureException' })
  }

  test('gets the errors that it has classes for', async () => {
    const { server } = await served()
    const kinesis = client(server.url)
    const missing = kinesis.send(new DescribeStreamSummaryCommand({ StreamName: 'missing' }))
    await expect(missing).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'Stream missing under account 000000000000 not found.',
      $metadata: { httpStatusCode: 400, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    })
    const forged = kinesis.send(new GetRecordsCommand({ ShardIterator: 'forged' }))
    await expect(forged).rejects.toMatchObject({ name: 'InvalidArgumentException', message: 'Invalid ShardIterator.' })
    const invalid = kinesis.send(new CreateStreamCommand({ StreamName: 'a b', ShardCount: 0 }))
    await expect(invalid).rejects.toMatchObject({
      name: 'ValidationException',
      message: expect.stringMatching(/^2 validation errors detected: Value '0' at 'shardCount'/),
    })
  })

  test('is pushed what arrives, over HTTP/2 and HTTP/1.1', async () => {
    const { server } = await served()
    for (const [name, config] of [
      ['http2', {}],
      ['http1', http1()],
    ] as const) {
      const kinesis = client(server.url, config)
      await kinesis.send(new CreateStreamCommand({ StreamName: name, ShardCount: 1 }))
      const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${name}`
      const registered = await kinesis.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'counter' }))
      const subscription = await kinesis.send(
        new SubscribeToShardCommand({
          ConsumerARN: registered.Consumer?.ConsumerARN,
          ShardId: 'shardId-000000000000',
          StartingPosition: { Type: 'TRIM_HORIZON' },
        }),
      )
      const Data = Buffer.from('pushed')
      await client(server.url).send(new PutRecordCommand({ StreamName: name, PartitionKey: 'k', Data }))
      const texts: string[] = []
      for await (const { SubscribeToShardEvent: event } of subscription.EventStream ?? []) {
        expect(event?.ContinuationSequenceNumber).toMatch(/^495\d{53}$/)
        for (const record of event?.Records ?? []) texts.push(Buffer.from(record.Data ?? []).toString())
        if (texts.length > 0) break
      }
      expect(texts).toEqual(['pushed'])
    }
  })

  test('is limited as AWS limits, and tries again by itself', async () => {
    const { server } = await served({ limits: { writeRecordsPerSecond: 1 } })
    const kinesis = client(server.url)
    await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 1 }))
    const record = { StreamName: 'clicks', PartitionKey: 'k', Data: Buffer.from('x') }
    await kinesis.send(new PutRecordCommand(record))
    await expect(kinesis.send(new PutRecordCommand(record))).rejects.toMatchObject({
      name: 'ProvisionedThroughputExceededException',
      message: 'Rate exceeded for shard shardId-000000000000 in stream clicks under account 000000000000.',
    })
    await client(server.url, { maxAttempts: 5 }).send(new PutRecordCommand(record))
    expect(await readAll(kinesis, 'clicks', '0')).toEqual(['x', 'x'])
  })

  test('sees what the process itself appends, and the other way round', async () => {
    const { store, server } = await served()
    const kinesis = client(server.url)
    const clicks = await store.createStream('clicks')
    await clicks.put({ partitionKey: 'here', data: Buffer.from('from the process') })
    const there = { StreamName: 'clicks', PartitionKey: 'there', Data: Buffer.from('over the wire') }
    const { SequenceNumber } = await kinesis.send(new PutRecordCommand(there))
    expect(await readAll(kinesis, 'clicks', '0')).toEqual(['from the process', 'over the wire'])
    const records = []
    for await (const batch of clicks.read({ from: 'TRIM_HORIZON' })) {
      for (const record of batch) records.push([record.partitionKey, record.sequenceNumber])
      if (records.length === 2) break
    }
    expect(records[0]?.[0]).toBe('here')
    expect(records[1]).toEqual(['there', SequenceNumber])
    await kinesis.send(new DeleteStreamCommand({ StreamName: 'clicks' }))
    expect(store.listStreams()).toEqual([])
  })
})

describe('states and quotas', () => {
  test('waiters of the SDK see a stream come and go', async () => {
    const { server } = await served({ createStreamMs: 300, updateStreamMs: 300, deleteStreamMs: 300 })
    const kinesis = client(server.url)
    const stream = { StreamName: 'clicks' }
    const status = async () => {
      const { StreamDescriptionSummary } = await kinesis.send(new DescribeStreamSummaryCommand(stream))
      return StreamDescriptionSummary?.StreamStatus
    }
    const waiter = { client: kinesis, minDelay: 1, maxDelay: 1, maxWaitTime: 20 }
    await kinesis.send(new CreateStreamCommand({ ...stream, ShardCount: 1 }))
    expect(await status()).toBe('CREATING')
    await waitUntilStreamExists(waiter, stream)
    await kinesis.send(new IncreaseStreamRetentionPeriodCommand({ ...stream, RetentionPeriodHours: 48 }))
    expect(await status()).toBe('UPDATING')
    await expect(kinesis.send(new DeleteStreamCommand(stream))).rejects.toMatchObject({
      name: 'ResourceInUseException',
    })
    await waitUntilStreamExists(waiter, stream)
    await kinesis.send(new DeleteStreamCommand(stream))
    expect(await status()).toBe('DELETING')
    await waitUntilStreamNotExists(waiter, stream)
  })

  test('an account has so many shards, and says what is wrong with a quota', async () => {
    const { store, server } = await served({ shardLimit: 2, onDemandStreamLimit: 0 })
    const kinesis = client(server.url)
    await kinesis.send(new CreateStreamCommand({ StreamName: 'a', ShardCount: 2 }))
    const limits = await kinesis.send(new DescribeLimitsCommand({}))
    expect(limits).toMatchObject({ ShardLimit: 2, OpenShardCount: 2, OnDemandStreamCountLimit: 0 })
    for (const more of [{ ShardCount: 1 }, { StreamModeDetails: { StreamMode: 'ON_DEMAND' as const } }]) {
      const refused = kinesis.send(new CreateStreamCommand({ StreamName: 'b', ...more }))
      await expect(refused).rejects.toMatchObject({ name: 'LimitExceededException' })
    }
    for (const wrong of [{ shardLimit: -1 }, { onDemandStreamLimit: 0.5 }, { createStreamMs: 3_600_001 }]) {
      const [name = ''] = Object.keys(wrong)
      await expect(store.serve({ port: 0, ...wrong })).rejects.toThrow(`${name}: expected a whole number`)
    }
  })
})

describe('a server', () => {
  test('stops with its store, and its port is free again', async () => {
    const { store, server } = await served()
    await client(server.url).send(new ListStreamsCommand({}))
    await store.close()
    await expect(client(server.url).send(new ListStreamsCommand({}))).rejects.toThrow(/ECONNREFUSED/)
    await server.stop()
    const { server: next } = await served({ port: server.port })
    expect(next.port).toBe(server.port)
  })

  test('is refused with what was wrong', async () => {
    const { store, server } = await served()
    const attempts: [ServeOptions, string][] = [
      [{ host: '0.0.0.0' }, 'expected credentials for a server on 0.0.0.0'],
      [{ host: 'localhost' }, 'expected an IP address such as 127.0.0.1'],
      [{ port: 70_000 }, 'port: expected a whole number from 0 to 65535, got 70000'],
      [{ account: '7' }, 'expected an account of 12 digits'],
      [{ tls: { certificate: 'missing.pem', key: 'missing.pem' } }, 'expected certificates in PEM in missing.pem'],
      [{ log: 'loud' as never }, 'log: expected off, error, warn, info or debug, got "loud"'],
    ]
    for (const [options, message] of attempts) {
      const refused = store.serve({ port: 0, ...options })
      await expect(refused, message).rejects.toMatchObject({
        code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        message: expect.stringContaining(message),
      })
    }
    const taken = store.serve({ port: server.port })
    await expect(taken).rejects.toMatchObject({ code: 'ERR_MILLRACE_IO' })
    await store.close()
    await expect(store.serve()).rejects.toMatchObject({ code: 'ERR_MILLRACE_CLOSED' })
  })
})

/** A file in a folder; returns its path. */
function fileIn(folder: string, name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe('millrace serve', () => {
  /** The program, and the address that it prints. */
  async function program(folder: string, ...args: string[]) {
    const running = startProgram(folder, ['serve', '--port', '0', '--limits', 'off', '--log', 'off', ...args])
    onTestFinished(() => running.kill('SIGKILL'))
    await running.heard('\n')
    const url = /(https?:\S+)/.exec(running.output())?.[1] as string
    return { running, url }
  }

  test('serves until it is told to stop, and says who may call', async () => {
    const { running, url } = await program(emptyFolder())
    expect(running.errors()).toContain('signatures are not verified: anybody on this machine may call')
    expect(await roundTrip(client(url))).toEqual(ALL)
    running.kill('SIGTERM')
    expect(await running.ended).toBe(143)
  })

  test('a_kill_under_load_loses_nothing_that_was_acknowledged', async () => {
    const folder = emptyFolder()
    const { running, url } = await program(folder)
    const kinesis = client(url)
    await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 2 }))
    const acknowledged = new Set<string>()
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let call = 0; ; call += 1) {
        const texts = Array.from({ length: 50 }, (_record, index) => `${writer}-${call}-${index}`)
        const Records = texts.map((text) => ({ PartitionKey: text, Data: Buffer.from(text) }))
        const put = kinesis.send(new PutRecordsCommand({ StreamName: 'clicks', Records }))
        if (
          !(await put.then(
            () => true,
            () => false,
          ))
        )
          return
        for (const text of texts) acknowledged.add(text)
        if (acknowledged.size > 4_000) running.kill('SIGKILL')
      }
    })
    await Promise.all(writers)
    await running.ended
    const again = await program(folder)
    const { Shards = [] } = await client(again.url).send(new ListShardsCommand({ StreamName: 'clicks' }))
    expect(Shards).toHaveLength(2)
    const found = new Set<string>()
    for (const { ShardId } of Shards) {
      for (const text of await readAll(client(again.url), 'clicks', ShardId as string)) found.add(text)
    }
    expect(acknowledged.size).toBeGreaterThan(4_000)
    expect([...acknowledged].filter((text) => !found.has(text))).toEqual([])
  })

  test('verifies signatures by a credentials file, and takes options from a file', async () => {
    const folder = emptyFolder()
    const credentials = fileIn(
      folder,
      'credentials',
      '[default]\naws_access_key_id = AKID\naws_secret_access_key = s\n',
    )
    const config = fileIn(folder, 'serve.json', JSON.stringify({ region: 'eu-west-1', account: '123456789012' }))
    const { url } = await program(join(folder, 'store'), '--credentials', credentials, '--config', config)
    const keys = { accessKeyId: 'AKID', secretAccessKey: 's' }
    const kinesis = client(url, { credentials: keys, region: 'eu-west-1' })
    await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 1 }))
    const told = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName: 'clicks' }))
    const arn = 'arn:aws:kinesis:eu-west-1:123456789012:stream/clicks'
    expect(told.StreamDescriptionSummary?.StreamARN).toBe(arn)
    const anybody = client(url).send(new ListStreamsCommand({}))
    await expect(anybody).rejects.toMatchObject({ name: 'UnrecognizedClientException' })
  })

  test('takes limits from a file, and says what is wrong with one', async () => {
    const folder = emptyFolder()
    const numbers = fileIn(folder, 'limits.json', '{"writeRecordsPerSecond":2}')
    const { url } = await program(join(folder, 'store'), '--limits', numbers)
    const kinesis = client(url)
    await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 1 }))
    const Records = ALL.map((text) => ({ PartitionKey: 'one', Data: Buffer.from(text) }))
    const { FailedRecordCount } = await kinesis.send(new PutRecordsCommand({ StreamName: 'clicks', Records }))
    expect(FailedRecordCount).toBe(1)
    for (const [content, message] of [
      ['{', /cannot read the limits in .*wrong\.json/],
      ['{"writes":2}', /writeRecordsPerSecond/],
    ] as const) {
      const refused = runProgram(join(folder, 'other'), ['serve', '--limits', fileIn(folder, 'wrong.json', content)])
      expect(refused).toMatchObject({
        code: expect.toSatisfy((code) => code !== 0),
        stderr: expect.stringMatching(message),
      })
    }
  })

  test('tells of states and holds to quotas by its flags', async () => {
    const flags = ['--create-stream-ms', '60000', '--shard-limit', '1', '--on-demand-stream-limit', '7']
    const { url } = await program(emptyFolder(), ...flags)
    const kinesis = client(url)
    await kinesis.send(new CreateStreamCommand({ StreamName: 'clicks', ShardCount: 1 }))
    const { StreamDescriptionSummary } = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName: 'clicks' }))
    expect(StreamDescriptionSummary?.StreamStatus).toBe('CREATING')
    const limits = await kinesis.send(new DescribeLimitsCommand({}))
    expect(limits).toMatchObject({ ShardLimit: 1, OpenShardCount: 1, OnDemandStreamCountLimit: 7 })
  })

  test('logs every answer where it is told to, whatever the protocol', async () => {
    const { running, url } = await program(emptyFolder(), '--log', 'debug')
    await client(url).send(new ListStreamsCommand({}))
    const missing = client(url, http1()).send(new DescribeStreamSummaryCommand({ StreamName: 'missing' }))
    await expect(missing).rejects.toThrow('not found')
    running.kill('SIGTERM')
    await running.ended
    const events = running
      .errors()
      .split('\n')
      .filter((line) => line.includes('"answered"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(events).toMatchObject([
      { operation: 'ListStreams', status: 200, format: 'JSON', http: 'HTTP/2.0', us: expect.any(Number) },
      { operation: 'DescribeStreamSummary', status: 400, format: 'JSON', http: 'HTTP/1.1', us: expect.any(Number) },
    ])
  })

  test('env prints variables that lead to it, and no key that is set already', () => {
    const folder = emptyFolder()
    const { stdout } = runProgram(folder, ['env', '--tls', '--port', '4568'])
    expect(stdout).toContain('export AWS_ENDPOINT_URL_KINESIS=https://localhost:4568\n')
    expect(stdout).toContain(`export AWS_CA_BUNDLE=${join(folder, 'server', 'authority.pem')}\n`)
    expect(stdout).toContain('export AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:-millrace}"\n')
    for (const service of ['DYNAMODB', 'CLOUDWATCH', 'STS']) {
      expect(stdout).toContain(`export AWS_ENDPOINT_URL_${service}=https://localhost:4568\n`)
    }
    expect(existsSync(join(folder, 'server'))).toBe(false)
  })

  test('env prints what Flink reads', () => {
    const { stdout } = runProgram(emptyFolder(), ['env', '--client', 'flink', '--tls', '--region', 'eu-west-1'])
    expect(stdout).toBe('aws.endpoint=https://localhost:4567\naws.region=eu-west-1\n')
  })

  test('env for Java says what failed where there is no authority to trust', () => {
    const folder = emptyFolder()
    const { stdout } = runProgram(folder, ['env', '--client', 'java', '--tls'])
    const { status, stderr } = spawnSync('sh', ['-ec', stdout], { encoding: 'utf8' })
    expect(status).toBe(0)
    const store = join(folder, 'server', 'authority.p12')
    expect(stderr).toBe(
      `millrace env: could not make ${store}: has the server run with --tls, and is a JDK installed?\n`,
    )
    expect(runProgram(folder, ['env', '--client', 'kcl']).stdout).not.toContain('keytool')
  })

  test('env prints the properties of the KPL', () => {
    const folder = emptyFolder()
    const { stdout } = runProgram(folder, ['env', '--client', 'kpl', '--host', '127.0.0.1', '--port', '4568'])
    expect(stdout.trim().split('\n')).toEqual([
      'KinesisEndpoint=127.0.0.1',
      'KinesisPort=4568',
      'CloudwatchEndpoint=127.0.0.1',
      'CloudwatchPort=4568',
      'StsEndpoint=127.0.0.1',
      'StsPort=4568',
      'Region=us-east-1',
      `CaCertFile=${join(folder, 'server', 'authority.pem')}`,
    ])
  })
})
