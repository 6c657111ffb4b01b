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

  release(): void {
    this.#holders -= 1
    if (this.#holders === 0) this.#timer?.unref()
  }
}

/** Held by pending puts and waiting readers of this environment. */
export const keepAlive = new KeepAlive()
