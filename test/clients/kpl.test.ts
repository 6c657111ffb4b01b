/**
 * The Kinesis Producer Library with its native program, as `docs/recipes/kpl.md` has it: over TLS with the development
 * authority, aggregated, and with its metrics. What it put is read back by boto3 and taken apart by `aws-kinesis-agg`, and by
 * a worker of the Kinesis Client Library.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test, vi } from 'vitest'
import { type Processed, processedIn, startWorker } from './ledger.js'
import { JAVA, recipe, type Recipe } from './recipe.js'
import { serve, type Server } from './server.js'
import { emptyFolder, run } from '../support.js'

const CLICKS = 20_000
const USERS = 200
const SHARDS = 4
/** The longest that one of the page's commands goes on, in milliseconds. */
const RUN_MS_MAX = 120_000

const prepared = recipe('kpl', JAVA)
const library = recipe('kcl', JAVA, '-for-kpl')
const missing = [prepared, library].flatMap((each) => ('missing' in each ? [each.missing] : []))
const reason = missing.length > 0 ? ` (skipped: ${missing.join('; ')})` : ''

test.skipIf(missing.length > 0)(
  `what the KPL puts is acknowledged, and read back from the shards that it named${reason}`,
  { timeout: 3 * RUN_MS_MAX },
  async () => {
    if ('missing' in prepared || 'missing' in library) return
    const { folder, runs } = prepared
    const server = await serve({ tls: true, msMax: 3 * RUN_MS_MAX })
    writeFileSync(join(folder, 'kpl.properties'), server.propertiesFor('kpl'))
    const outputs: string[] = []
    for (const command of runs) {
      const { status, output } = await run('sh', ['-ec', command], folder, server.env, RUN_MS_MAX)
      expect(status, output).toBe(0)
      outputs.push(output)
    }
    const [, produced = '', read = ''] = outputs

    const clicks = [...read.matchAll(/^(shardId-\d{12}) (user-\d+) (user-\d+),(\d+)$/gm)].map(
      ([, shard = '', key, user, number]) => ({ shard, key, user, number: Number(number) }),
    )
    expect(clicks.filter(({ key, user, number }) => key !== user || user !== `user-${number % USERS}`)).toEqual([])
    // The KPL sends several requests at once, and one again that was not answered in time: it promises neither the order of a
    // key nor that nothing comes twice.
    const shardOf = new Map(clicks.map(({ number, shard }) => [number, shard]))
    expect([...shardOf.keys()].toSorted((one, other) => one - other)).toEqual([...Array(CLICKS).keys()])
    expect(new Set(clicks.map(({ shard, key }) => `${shard} ${key}`)).size).toBe(USERS)

    const acknowledged = [...produced.matchAll(/^acknowledged (shardId-\d{12}) (\d+)$/gm)]
    const shards = [...shardOf.values()]
    expect(acknowledged.map(([, shard, count]) => [shard, Number(count)])).toEqual(
      acknowledged.map(([, shard]) => [shard, shards.filter((each) => each === shard).length]),
    )
    expect(acknowledged).toHaveLength(SHARDS)

    const aggregates = [...read.matchAll(/^shardId-\d{12}: (\d+) records$/gm)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    )
    expect(aggregates).toBeGreaterThan(0)
    expect(aggregates).toBeLessThan(CLICKS / 10)
    expect(await sumOf(server, 'UserRecordsPut')).toBe(CLICKS)
    expect(refusalsOf(server)).toEqual([])

    const processed = await processedBy(library, server)
    expect(
      processed.map(({ key, data }) => `${key},${data}`).filter((line) => !/^(user-\d+),\1,\d+$/.test(line)),
    ).toEqual([])
    const shardsOfWorker = new Map(processed.map(({ shard, data }) => [Number(data.split(',')[1]), shard]))
    expect(shardsOfWorker).toEqual(shardOf)
    expect(processed.some(({ subsequence }) => subsequence > 0)).toBe(true)
  },
)

/** What a worker of the Kinesis Client Library has processed of the stream, once that is all of it. */
async function processedBy(library: Recipe, server: Server): Promise<Processed[]> {
  const file = join(emptyFolder(), 'processed')
  const env = { ...server.javaEnv(), STREAM: 'clicks', MODE: 'polling', WORKER: 'one' }
  const worker = startWorker(library, file, env, RUN_MS_MAX)
  return await vi.waitFor(
    () => {
      const lines = processedIn(file)
      if (new Set(lines.map(({ data }) => data)).size < CLICKS) throw new Error(`${lines.length}: ${worker.errors()}`)
      return lines
    },
    { timeout: RUN_MS_MAX, interval: 500 },
  )
}

/** What a metric of the KPL adds up to for the stream, as the server tells it. */
async function sumOf(server: Server, name: string): Promise<number> {
  const metrics = await page(`${server.env['AWS_ENDPOINT_URL_KINESIS']}/metrics`, server.authority)
  const labels = `namespace="KinesisProducerLibrary",name="${name}",unit="Count",dimensions="StreamName=clicks"`
  const line = metrics.split('\n').find((each) => each.startsWith(`millrace_custom_metric_sum{${labels}} `))
  expect(line, metrics).toBeDefined()
  return Number(line?.split(' ').at(-1))
}

function page(url: string, authority = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { ca: readFileSync(authority) }, (answer) => resolve(text(answer))).on('error', reject)
  })
}

/** The lines of a server's log about what it has refused or failed to do. */
function refusalsOf(server: Server): string[] {
  const answers = server
    .log()
    .split('\n')
    .filter((line) => line.includes('"answered"'))
  return answers.filter((line) => !line.includes('"status":200,'))
}
