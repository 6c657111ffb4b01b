/**
 * What workers did to leases and saw of them, and whether one order of it all explains that.
 *
 * A lease is a register that a condition guards: whoever takes it at counter `c` leaves it at `c + 1`. So the order of the
 * writes of a lease is told by their counters, and linearizability comes down to four rules, each of which
 * {@link violations} looks at: each counter is taken from once, none is passed over, no write ended before the one before
 * it began, and a read shows a counter that held at some moment between its begin and its end, with its owner.
 */

/** A call that ended, with its times in milliseconds of one clock. */
export interface Call {
  readonly lease: string
  readonly begun: number
  readonly ended: number
}

/** A lease was taken or renewed by `owner`, from `counter` to the next. */
export interface Write extends Call {
  readonly kind: 'write'
  readonly owner: string
  readonly counter: number
}

/** A lease was seen, or a condition failed and told what it saw. */
export interface Read extends Call {
  readonly kind: 'read'
  /** Absent while nobody has had it. */
  readonly owner: string | undefined
  readonly counter: number
}

/** Everything that cannot have happened; nothing where all is well. */
export function violations(history: readonly (Write | Read)[]): string[] {
  const leases = new Map<string, (Write | Read)[]>()
  for (const call of history) {
    const calls = leases.get(call.lease) ?? []
    leases.set(call.lease, calls)
    calls.push(call)
  }
  return [...leases].flatMap(([lease, calls]) => ofLease(calls).map((what) => `${lease}: ${what}`))
}

function ofLease(calls: readonly (Write | Read)[]): string[] {
  const found: string[] = []
  const writes = calls.filter((call) => call.kind === 'write').toSorted((one, two) => one.counter - two.counter)
  for (const [index, { counter, owner }] of writes.entries()) {
    if (counter < index) found.push(`two took it at ${counter}, one of them ${owner}: an update is lost`)
    if (counter > index) found.push(`${owner} took it at ${counter}, and nobody at ${index}`)
    if (counter !== index) return found
  }
  for (const [index, write] of writes.entries()) {
    const before = writes[index - 1]
    if (before !== undefined && write.ended < before.begun) {
      found.push(
        `${write.owner} took it at ${write.counter} before ${before.owner} began to take it at ${before.counter}`,
      )
    }
  }
  for (const read of calls.filter((call) => call.kind === 'read')) {
    const least = writes.filter(({ ended }) => ended < read.begun).length
    const most = writes.filter(({ begun }) => begun <= read.ended).length
    if (read.counter < least || read.counter > most) {
      found.push(`a read saw ${read.counter}, expected ${least} to ${most}`)
    } else if (read.owner !== writes[read.counter - 1]?.owner) {
      found.push(`a read saw ${read.owner} at ${read.counter}, expected ${writes[read.counter - 1]?.owner}`)
    }
  }
  return found
}
