/** `millrace put`: one record. */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Register } from '../command.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface PutOptions extends CommonOptions {
  readonly key: string
  readonly hashKey?: string
}

const EXAMPLES = `
Examples:
  $ millrace put clicks --key user-42 '{"page":"/"}'
  $ millrace put images --key cat.png - < cat.png`

/** Adds the command to the program. */
export function registerPut(program: Command, register: Register): void {
  const command = program
    .command('put')
    .description('write one record and print where it went')
    .argument('<stream>', 'name of the stream')
    .argument('<record>', 'the data as text, or - for all of standard input')
  commonOptions(command)
    .requiredOption('-k, --key <key>', 'partition key: 1 to 256 characters')
    .option('--hash-key <number>', 'explicit hash key that chooses the shard: 0 to 2^128 - 1')
    .addHelpText('after', EXAMPLES)
  register(command, put)
}

async function put(session: Session, options: PutOptions, name: string, text: string): CommandResult {
  const data = text === '-' ? await buffer(process.stdin) : Buffer.from(text)
  await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const { shardId, sequenceNumber } = await stream.put({
      partitionKey: options.key,
      data,
      ...(options.hashKey === undefined ? {} : { explicitHashKey: options.hashKey }),
    })
    if (session.json) session.out.json({ shardId, sequenceNumber })
    else session.out.line(`${shardId} ${sequenceNumber}`)
  })
}
