/**
 * Runs a program in a network of its own that has nothing but loopback, where the machine lets one be made (Linux, with
 * `unshare` and `ip`): what a program calls beyond the machine then fails at once, whoever wrote it.
 */
import { run } from './shared.mjs'

/** Makes the network, wakes its loopback, and becomes the program. */
const ALONE = ['--user', '--map-root-user', '--net', 'sh', '-ec', 'ip link set lo up; exec "$@"', 'sh']

/** Resolves to what `run` does, and to why there was no such network: the program runs in the machine's then. */
export async function runOnLoopback(program, args, options) {
  const probe = await run('unshare', [...ALONE, 'true'], { quiet: true })
  if (probe.status === 0) return await run('unshare', [...ALONE, program, ...args], options)
  const reason = probe.output.trim().split('\n').at(-1) || `unshare ended with ${probe.status}`
  return { ...(await run(program, args, options)), reason }
}
