/**
 * `npm run torture -- crash|faults [--seed N] [--count N] [--minutes N]`: builds the campaigns of `crates/torture`,
 * optimised and with all assertions, and runs them in a process a core, each with seeds of its own. Without arguments
 * both run for a moment. The last line sums what they did.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { asProgram, Refusal, root, run } from './shared.mjs'

/** A moment of each: what `npm test` runs. */
const SHORT = [
  ['crash', '--count', '20'],
  ['faults', '--count', '2'],
]

const PROGRAM = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'torture', 'millrace-torture')

/** What the last line of a campaign counts, by the campaign's name. */
const COUNTED = { crash: /crash images: (\d+)/g, faults: /faults: (\d+)/g }

async function campaign(args) {
  const jobs = Math.min(availableParallelism(), 8)
  const runs = await Promise.all(
    Array.from({ length: jobs }, (_, job) => run(PROGRAM, [...args, '--job', `${job + 1}/${jobs}`], { capture: true })),
  )
  if (runs.some(({ status }) => status !== 0)) throw new Refusal(`torture ${args[0]}: failed`)
  return runs.reduce((sum, { output }) => sum + Number([...output.matchAll(COUNTED[args[0]])].at(-1)?.[1] ?? 0), 0)
}

await asProgram(async () => {
  const build = ['build', '--profile', 'torture', '--package', 'millrace-torture', '--locked']
  if ((await run('cargo', build)).status !== 0) throw new Refusal('torture: cargo could not build it')
  const args = process.argv.slice(2)
  if (args.length > 0 && !(args[0] in COUNTED)) {
    await run(PROGRAM, ['--help'])
    throw new Refusal(`torture: expected crash or faults, got ${args[0]}`)
  }
  const counts = { crash: 0, faults: 0 }
  for (const one of args.length > 0 ? [args] : SHORT) counts[one[0]] = await campaign(one)
  console.log(`torture: ${counts.crash} crash images examined, ${counts.faults} faults injected`)
})
