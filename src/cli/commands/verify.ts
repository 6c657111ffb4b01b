/** `millrace verify`: reads every frame of a store and reports what is damaged. */
import type { Command } from 'commander'
import { Millrace, type VerifyReport } from '../../index.js'
import type { Register } from '../command.js'
import { EXIT } from '../exit.js'
import { describeDamages } from '../damage.js'
import { bytes, duration, plural, rate } from '../format.js'
import { Progress } from '../progress.js'
import { commonOptions, type CommandResult, type Session } from '../session.js'

const EXAMPLES = `
Nothing is changed, and a store that cannot be opened is read too. The exit code is 3 when damage is found, and 4 when
another process has the store open. millrace repair copies what is good.

Examples:
  $ millrace verify
  $ millrace verify --data /var/lib/events --json | jq '.damages[]'`

/** Adds the command to the program. */
export function registerVerify(program: Command, register: Register): void {
  const command = program.command('verify').description('read every frame of the store and report what is damaged')
  commonOptions(command).addHelpText('after', EXAMPLES)
  register(command, verify)
}

async function verify(session: Session): CommandResult {
  const progress = new Progress({ label: 'verify', total: 1, counts: 'bytes', quiet: session.quiet })
  const onProgress = (bytesRead: number, bytesKnown: number): void => {
    progress.setTotal(bytesKnown)
    progress.update(bytesRead)
  }
  const report = await Millrace.verify(session.directory, { onProgress }).finally(() => progress.stop())
  if (session.json) session.out.json(report)
  else session.out.line(humanReport(report, session.directory, progress.elapsed))
  return report.damages.length === 0 ? EXIT.ok : EXIT.damage
}

function humanReport(report: VerifyReport, directory: string, elapsed: number): string {
  const read = [
    plural(report.streams, 'stream'),
    plural(report.segments, 'segment'),
    plural(report.frames, 'frame'),
    plural(report.records, 'record'),
    bytes(report.bytes),
  ]
  const summary = `read ${read.join(', ')} in ${duration(elapsed)} (${rate(report.records, elapsed)})`
  if (report.damages.length === 0) return `${summary}\nno damage found`
  const damaged = `${plural(report.damages.length, 'place')} damaged:`
  const remedy = `millrace repair ${directory} --to NEW_DIRECTORY copies all that is good`
  return [`${summary}\n${damaged}`, describeDamages(report.damages), remedy].join('\n\n')
}
