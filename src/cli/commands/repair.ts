/** `millrace repair`: copies all that is good of a store and says what was left out. */
import type { Command } from 'commander'
import { Millrace, type RepairReport } from '../../index.js'
import type { Register } from '../command.js'
import { describeDamages } from '../damage.js'
import { EXIT } from '../exit.js'
import { count, duration, plural, table } from '../format.js'
import { Progress } from '../progress.js'
import { commonOptions, type CommandResult, type CommonOptions, type Session } from '../session.js'

interface RepairCommandOptions extends CommonOptions {
  readonly to: string
}

const EXAMPLES = `
The store is read, never changed; the copy has the same streams, records and sequence numbers. It is written to
DIRECTORY.unfinished and renamed when all of it is on disk: what an interrupted repair leaves there, the next removes.
The exit code is 0 when the copy is complete, 3 when something was left out, 4 when another process has the store open.

Examples:
  $ millrace repair ./data --to ./data-repaired
  $ millrace repair --data /mnt/failing/events --to /var/lib/events --json | jq '.damages[]'`

/** Adds the command to the program. */
export function registerRepair(program: Command, register: Register): void {
  const command = program
    .command('repair')
    .description('copy all that is good of a damaged store, and say what was left out')
    .argument('[store]', 'directory of the store; default: that of --data')
    .requiredOption('-t, --to <directory>', 'where the copy goes: a directory that is missing or empty')
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, repair)
}

async function repair(session: Session, options: RepairCommandOptions, store?: string): CommandResult {
  const progress = new Progress({ label: 'repair', total: 1, counts: 'bytes', quiet: session.quiet })
  const onProgress = (bytesRead: number, bytesKnown: number): void => {
    progress.setTotal(bytesKnown)
    progress.update(bytesRead)
  }
  const { signal } = session
  const from = store ?? session.directory
  const report = await Millrace.repair(from, options.to, { onProgress, signal }).finally(() => progress.stop())
  if (session.json) session.out.json(report)
  else session.out.line(humanReport(report, options.to, progress.elapsed))
  return report.damages.length === 0 ? EXIT.ok : EXIT.damage
}

function humanReport({ streams, damages }: RepairReport, to: string, elapsed: number): string {
  const records = streams.reduce((sum, stream) => sum + stream.records, 0)
  const kept = `kept ${plural(records, 'record')} of ${plural(streams.length, 'stream')} in ${to} (${duration(elapsed)})`
  const rows = streams.map((stream) => [stream.name, count(stream.records), count(stream.segments)])
  const parts = [kept]
  if (rows.length > 0) parts.push(table(['STREAM', 'RECORDS', 'SEGMENTS'], rows, ['left', 'right', 'right']))
  if (damages.length === 0) return [...parts, 'nothing was left out'].join('\n\n')
  return [...parts, `${plural(damages.length, 'finding')}:`, describeDamages(damages)].join('\n\n')
}
