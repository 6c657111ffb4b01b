/**
 * The whole terminal for one program: drawn over in place without flicker, and given back as it was.
 *
 * A picture is written in one go, each line cleared only behind its text, inside of a synchronized update where the
 * terminal knows such; what stood there before is never blanked first.
 */
import type { ReadStream, WriteStream } from 'node:tty'

const ENTER = '\u001B[?1049h\u001B[?25l'
const LEAVE = '\u001B[?25h\u001B[?1049l'
const HOME = '\u001B[H'
const CLEAR_LINE_END = '\u001B[K'
const CLEAR_BELOW = '\u001B[J'
const BEGIN_UPDATE = '\u001B[?2026h'
const END_UPDATE = '\u001B[?2026l'
/** What Ctrl-C sends where the terminal passes on each key. */
const CONTROL_C = '\u0003'

/** A picture on a terminal, and the keys pressed meanwhile. */
export class Screen {
  readonly #output: WriteStream
  readonly #input: ReadStream
  readonly #quit = new AbortController()
  #resize = new AbortController()

  /** Takes the terminal. */
  constructor(output: WriteStream, input: ReadStream) {
    this.#output = output
    this.#input = input
    output.write(ENTER)
    output.on('resize', this.#onResize)
    if (input.isTTY) {
      input.setRawMode(true)
      input.resume()
      input.on('data', this.#onKeys)
    }
  }

  /** Aborts when `q`, Escape or Ctrl-C is pressed. */
  get quit(): AbortSignal {
    return this.#quit.signal
  }

  /** Aborts when the terminal gets another size, from this call on. */
  resized(): AbortSignal {
    this.#resize = new AbortController()
    return this.#resize.signal
  }

  /** Shows these lines and nothing else. They are no wider than the terminal. */
  draw(lines: readonly string[]): void {
    const text = lines.map((line) => line + CLEAR_LINE_END).join('\r\n')
    this.#output.write(BEGIN_UPDATE + HOME + text + CLEAR_BELOW + END_UPDATE)
  }

  /** Gives the terminal back. */
  close(): void {
    this.#output.off('resize', this.#onResize)
    if (this.#input.isTTY) {
      this.#input.off('data', this.#onKeys)
      this.#input.setRawMode(false)
      this.#input.pause()
    }
    this.#output.write(LEAVE)
  }

  readonly #onResize = (): void => this.#resize.abort()

  readonly #onKeys = (keys: Buffer): void => {
    const text = keys.toString('latin1')
    if (text === 'q' || text === '\u001B' || text.includes(CONTROL_C)) this.#quit.abort()
  }
}
