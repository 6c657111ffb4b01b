/** `millrace describe`: a stream's settings, shards and sizes. */
import type { Command } from 'commander'
import type { StreamDescription } from '../../index.js'
import type { Register } from '../command.js'
import { UsageError } from '../exit.js'
import { bytes, count, durability, fields, limits, plural, retention, table } from '../format.js'
import { applyAdvice, hotReport } from '../hot.js'
import { tagsText } from '../tags.js'
import { Progress } from '../progress.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { countShards, shardChart, type ShardCount } from '../shard-count.js'

interface DescribeOptions extends CommonOptions {
  readonly count?: true
  readonly hot?: true
  readonly apply?: true
}

const EXAMPLES = `
Examples:
  $ millrace describe clicks
  $ millrace describe clicks --count        # reads the stream: records and bytes of each shard, as a chart
  $ millrace describe clicks --hot          # the load of the log's last minute by shard and key, and what to do about it
  $ millrace describe clicks --hot --apply  # and do it
  $ millrace describe clicks --json | jq '.shardList[].shardId'`

/** Adds the command to the program. */
export function registerDescribe(program: Command, register: Register): void {
  const command = program
    .command('describe')
    .description("show a stream's settings, shards and sizes")
    .argument('<stream>', 'name of the stream')
  commonOptions(command)
    .option('-c, --count', 'read the stream and count records and bytes of each shard')
    .option('--hot', "read the log's last minute and show hot shards, heavy keys and advice")
    .option('--apply', 'with --hot: carry out the splits and merges that are advised')
    .addHelpText('after', EXAMPLES)
  register(command, describe)
}

async function describe(session: Session, options: DescribeOptions, name: string): CommandResult {
  if (options.apply === true && options.hot !== true) throw new UsageError('--apply needs --hot')
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    if (options.hot === true) {
      const replayed = await stream.replayMetrics()
      const applied = options.apply === true ? await applyAdvice(stream, replayed.advice) : undefined
      if (session.json) session.out.json(applied === undefined ? replayed : { ...replayed, applied })
      else session.out.line(hotReport(replayed.metrics, replayed.advice, applied))
      return
    }
    const description = stream.describe()
    let counts: ShardCount[] | undefined
    if (options.count === true) {
      const progress = new Progress({
        label: 'count',
        total: description.bytes,
        counts: 'records',
        quiet: session.quiet,
      })
      let records = 0
      let dataBytes = 0
      counts = await countShards(stream, session.signal, (batch) => {
        records += batch.length
        for (let i = 0; i < batch.length; i += 1) dataBytes += batch.dataLength(i)
        progress.update(dataBytes, records)
      }).finally(() => progress.stop())
    }
    if (session.json) session.out.json(counts === undefined ? description : { ...description, counts })
    else session.out.line(humanDescription(description, counts))
  })
}

function humanDescription(description: StreamDescription, counts: readonly ShardCount[] | undefined): string {
  const settings = fields([
    ['Stream', `${description.name} (${description.status})`],
    ['Shards', `${count(description.shards)}, ${description.mode}`],
    ['Retention', retention(description.retentionHours)],
    ['Durability', durability(description.durability)],
    ['Limits', limits(description.limits)],
    ['Codec', description.codec],
    ['Largest record', bytes(description.maxRecordBytes)],
    ['Created', description.createdAt.toISOString()],
    ['On disk', `${bytes(description.bytes)} in ${plural(description.segments, 'segment')}`],
    ['In sealed segments', plural(description.sealedRecords, 'record')],
    ['Reaches back to', description.oldestArrival.toISOString()],
    ...(Object.keys(description.tags).length === 0 ? [] : [['Tags', tagsText(description.tags)] as const]),
  ])
  return `${settings}\n\n${counts === undefined ? shardTable(description) : shardChart(description.shardList, counts)}`
}

function shardTable(description: StreamDescription): string {
  const rows = description.shardList.map(({ shardId, status, hashKeyRange }) => [
    shardId,
    status,
    hashKeyRange.startingHashKey,
    hashKeyRange.endingHashKey,
  ])
  return table(['SHARD', 'STATUS', 'FIRST HASH KEY', 'LAST HASH KEY'], rows, ['left', 'left', 'right', 'right'])
}
