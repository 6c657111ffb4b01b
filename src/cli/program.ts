/** The commands of `millrace`, over the public API. */
import { createRequire } from 'node:module'
import { Command } from 'commander'
import { registrar } from './command.js'
import { registerChannel } from './commands/channel.js'
import { registerCompletion } from './commands/completion.js'
import { registerConsumers } from './commands/consumers.js'
import { registerCreate } from './commands/create.js'
import { registerDelete } from './commands/delete.js'
import { registerDemo } from './commands/demo.js'
import { registerDescribe } from './commands/describe.js'
import { registerEnv } from './commands/env.js'
import { registerExport } from './commands/export.js'
import { registerIngest } from './commands/ingest.js'
import { registerLimits } from './commands/limits.js'
import { registerList } from './commands/list.js'
import { registerMode } from './commands/mode.js'
import { registerPut } from './commands/put.js'
import { registerQueue } from './commands/queue.js'
import { registerRepair } from './commands/repair.js'
import { registerReshard } from './commands/reshard.js'
import { registerRetention } from './commands/retention.js'
import { registerServe } from './commands/serve.js'
import { registerShards } from './commands/shards.js'
import { registerSubscribe } from './commands/subscribe.js'
import { registerTag } from './commands/tag.js'
import { registerTail } from './commands/tail.js'
import { registerTop } from './commands/top.js'
import { registerVerify } from './commands/verify.js'
import { EXIT_CODES_HELP } from './exit.js'

const EXAMPLES = `
Examples:
  $ millrace create clicks --shards 4 --retention 7d
  $ millrace put clicks --key user-42 '{"page":"/"}'
  $ millrace ingest clicks clicks.ndjson --key user
  $ millrace tail clicks --from 1h --until-end
  $ millrace demo`

/** The program with all its commands; each hands its exit status to `done`. */
export function program(done: (exitCode: number) => void): Command {
  const command = new Command('millrace')
    .description('Durable, sharded, replayable streams in a local directory.')
    .version(version(), '-V, --version')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(usageLine(text)) })
    .addHelpText('after', EXAMPLES + '\n' + EXIT_CODES_HELP)
  const register = registrar(done)
  registerDemo(command, register)
  registerCreate(command, register)
  registerList(command, register)
  registerDescribe(command, register)
  registerPut(command, register)
  registerIngest(command, register)
  registerTail(command, register)
  registerTop(command, register)
  registerExport(command, register)
  registerServe(command, register)
  registerEnv(command, register)
  registerShards(command, register)
  registerReshard(command, register)
  registerMode(command, register)
  registerLimits(command, register)
  registerTag(command, register)
  registerConsumers(command, register)
  registerSubscribe(command, register)
  registerQueue(command, register)
  registerChannel(command, register)
  registerRetention(command, register)
  registerVerify(command, register)
  registerRepair(command, register)
  registerDelete(command, register)
  registerCompletion(command)
  return command
}

/** Commander's errors in the form of all others. */
function usageLine(text: string): string {
  return `millrace: ${text
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim()} (ERR_USAGE)\n`
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string }
  return manifest.version
}
