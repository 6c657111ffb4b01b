/**
 * How much of the processors went to others while a contest ran. On a machine with other work a limit can be slowed as
 * much as the engine or more, and then a ratio looks better than it is: so each contest tells.
 */
import { readFileSync } from 'node:fs'

/** Starts to look; the function that it returns gives the others' share of all processors' time since, 0 to 1. */
export function watchOthers(): () => number {
  const before = readTicks()
  return () => {
    const now = readTicks()
    const others = now.busy - before.busy - (now.own - before.own)
    return Math.max(0, others / (now.total - before.total || 1))
  }
}

/** Ticks since the machine started: of all processors, of those that worked, and of this process with its children. */
function readTicks(): { readonly total: number; readonly busy: number; readonly own: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of these.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const total = sum(ticks)
  // Behind the program's name, which may have spaces: the 14th to 17th field are its and its ended children's ticks.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return { total, busy: total - sum(ticks.slice(3, 5)), own: sum(fields.slice(11, 15).map(Number)) }
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
