/**
 * Chronicle Queue beside the latencies: a log in memory-mapped files like Millrace, in Java, with a thread that spins for
 * the reader. It never leaves its own virtual machine, so it shows what JavaScript costs rather than a choice that a
 * Node service has.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Side } from '../../rows.js'
import { javaProgram } from '../acquire.js'
import { CHRONICLE, type Field } from '../field.js'

const RUN_MS = 45_000

/** What Chronicle's own documentation opens for it on Java 17. */
const OPENED = [
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
  '--add-exports=java.base/sun.nio.ch=ALL-UNNAMED',
  '--add-exports=jdk.unsupported/sun.misc=ALL-UNNAMED',
  '--add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED',
  '--add-opens=jdk.compiler/com.sun.tools.javac=ALL-UNNAMED',
  '--add-opens=java.base/java.lang=ALL-UNNAMED',
  '--add-opens=java.base/java.lang.reflect=ALL-UNNAMED',
  '--add-opens=java.base/java.io=ALL-UNNAMED',
  '--add-opens=java.base/java.util=ALL-UNNAMED',
]

/** p50 and p99 at a rate, or at half of the greatest rate, which then has a row too. */
export function chronicleSides(field: Field, contest: string, rate: number | 'half', against: string): Side[] {
  if (!field.withChronicle) return []
  let [p50, p99, greatest] = [Number.NaN, Number.NaN, Number.NaN]
  const measure = () => {
    ;[p50, p99, greatest] = [Number.NaN, Number.NaN, Number.NaN]
    return field.measure(CHRONICLE, async () => {
      ;[p50, p99, greatest] = await runOnce(field, rate === 'half' ? 0 : rate)
      return p50
    })
  }
  const name = `${contest}: ${CHRONICLE.name}`
  const sides: Side[] = [
    { name: `${name}, p50`, unit: 'µs', measure, against },
    { name: `${name}, p99`, unit: 'µs', measure: () => p99 },
  ]
  if (rate !== 'half') return sides
  const delivered = `publish and deliver: ${CHRONICLE.name}`
  return [...sides, { name: delivered, unit: 'records/s', measure: () => greatest }]
}

async function runOnce(field: Field, rate: number): Promise<[p50: number, p99: number, greatest: number]> {
  const { program, args } = javaProgram('chronicle')
  const source = fileURLToPath(new URL('../java/chronicle/Chronicle.java', import.meta.url))
  const folder = field.bench.workspace.path('chronicle')
  // Its library would send statistics of its use to its makers.
  const options = [...OPENED, '-Dchronicle.analytics.disable=true', ...args, source, folder, String(rate), '2']
  const running = promisify(execFile)(program, options, { timeout: RUN_MS })
  field.bench.workspace.adopt(running.child)
  const { stdout } = await running
  field.bench.workspace.discard('chronicle')
  const figures = stdout.trim().split('\n').at(-1)?.split(' ').map(Number) ?? []
  const [p50 = Number.NaN, p99 = Number.NaN, greatest = Number.NaN] = figures
  return [p50, p99, greatest]
}
