/**
 * Wake-ups from the log, and what keeps the process alive meanwhile.
 *
 * The native module calls one function an environment, with the id of what was armed and has changed. An id is
 * called once and must be armed again, so that a wake-up can neither be lost nor pile up. The native channel never
 * keeps the process alive; whoever waits holds {@link keepAlive} for as long.
 */
import { NativeNotifier } from './binding.js'

const listeners = new Map<number, () => void>()
let lastId = 0
let shared: NativeNotifier | undefined

/** The environment's one channel, made when first needed. */
export function notifier(): NativeNotifier {
  shared ??= new NativeNotifier((id) => listeners.get(id)?.())
  return shared
}

/** Calls `listener` whenever the native module names the returned id. */
export function listen(listener: () => void): number {
  lastId += 1
  listeners.set(lastId, listener)
  return lastId
}

/** Forgets an id; later calls with it do nothing. */
export function unlisten(id: number): void {
  listeners.delete(id)
}

const resolved = Promise.resolve()
const kept: number[] = []

/**
 * Calls, at the end of the current microtasks, the listener of an id that a native call of this thread has returned:
 * what this thread published itself needs no turn through the kernel.
 */
export function wakeSoon(id: number): void {
  if (kept.includes(id)) return
  kept.push(id)
  if (kept.length === 1) void resolved.then(wakeKept)
}

function wakeKept(): void {
  for (const id of kept.splice(0)) listeners.get(id)?.()
}

/** One id that all share who wait for the same: its wake-up crosses once and wakes each of them. */
export class Bell {
  /** Under which the native module rings. */
  readonly id = listen(() => this.#ring())
  #waiting: (() => void)[] = []

  /** Calls `wake` when the bell rings next, once. */
  wait(wake: () => void): void {
    this.#waiting.push(wake)
  }

  /** Calls it no more. */
  forget(wake: () => void): void {
    const index = this.#waiting.indexOf(wake)
    if (index >= 0) this.#waiting.splice(index, 1)
  }

  /** Ends the bell: whoever still waits is not called. */
  close(): void {
    unlisten(this.id)
  }

  #ring(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}

/** Keeps the event loop alive while anything waits. A timer, because its `ref` and `unref` cross into nothing. */
class KeepAlive {
  #holders = 0
  #timer: NodeJS.Timeout | undefined

  hold(): void {
    this.#holders += 1
    if (this.#holders > 1) return
    this.#timer ??= setInterval(() => {}, 0x7fff_ffff)
    this.#timer.ref()
  }

  /** Lets go at the end of the microtasks: whoever was waiting mostly waits again by then, and nothing has to move. */
  release(): void {
    this.#holders -= 1
    if (this.#holders === 0) void resolved.then(this.#letGo)
  }

  readonly #letGo = (): void => {
    if (this.#holders === 0) this.#timer?.unref()
  }
}

/** Held by pending puts and waiting readers of this environment. */
export const keepAlive = new KeepAlive()
