/** What the demo tells: steps, measured facts, checks that hold or do not, and a summary. */
import { styleText } from 'node:util'
import { count, duration, table } from '../format.js'
import type { Output } from '../output.js'

/** One claim that was checked. */
export interface Check {
  readonly step: string
  readonly claim: string
  readonly expected: string
  readonly actual: string
  readonly ok: boolean
}

/** One line of the summary. */
export interface Fact {
  readonly what: string
  readonly amount: string
  readonly took: string
  readonly rate: string
}

/** Gathers checks and prints as it goes. */
export class Report {
  readonly checks: Check[] = []
  readonly facts: Fact[] = []
  readonly #out: Output
  readonly #silent: boolean
  readonly #color: boolean
  readonly #started = performance.now()
  #steps = 0
  #step = ''

  constructor(out: Output, options: { readonly silent: boolean; readonly color: boolean }) {
    this.#out = out
    this.#silent = options.silent
    this.#color = options.color
  }

  /** Checks that did not hold. */
  get failed(): Check[] {
    return this.checks.filter((check) => !check.ok)
  }

  /** Milliseconds since the demo began. */
  get elapsed(): number {
    return performance.now() - this.#started
  }

  /** Begins a step. */
  async step(title: string): Promise<void> {
    this.#steps += 1
    this.#step = title
    await this.line(`\n${this.#style('bold', `${this.#steps}. ${title}`)}`)
  }

  /** Says something about the step, indented below it. */
  async say(text: string): Promise<void> {
    await this.line(text.replaceAll(/^(?=.)/gm, '   '))
  }

  /** Says something and keeps it for the summary. */
  async fact(fact: Fact): Promise<void> {
    this.facts.push(fact)
    const detail = [fact.took, fact.rate].filter((part) => part !== '').join(', ')
    await this.say(`${fact.what}: ${fact.amount}${detail === '' ? '' : ` in ${detail}`}`)
  }

  /** Records whether two values are equal, and says so. */
  async check(claim: string, expected: number | string, actual: number | string): Promise<void> {
    const check = { step: this.#step, claim, expected: text(expected), actual: text(actual), ok: expected === actual }
    this.checks.push(check)
    const mark = check.ok ? this.#style('green', '✓') : this.#style('red', '✗')
    await this.say(`${mark} ${claim}: ${check.ok ? check.actual : `expected ${check.expected}, got ${check.actual}`}`)
  }

  /** Prints the table of facts and the verdict. */
  async summary(): Promise<void> {
    const rows = this.facts.map(({ what, amount, took, rate }) => [what, amount, took, rate])
    await this.say(table(['WHAT', 'AMOUNT', 'TIME', 'RATE'], rows, ['left', 'right', 'right', 'right']))
    const total = this.checks.length
    const failed = this.failed
    const verdict =
      failed.length === 0
        ? this.#style('green', `all ${total} checks held`)
        : this.#style('red', `${failed.length} of ${total} checks failed`)
    await this.line(`\n${verdict}, in ${duration(this.elapsed)}`)
    for (const { step, claim, expected, actual } of failed) {
      await this.line(`  ✗ ${step}: ${claim}: expected ${expected}, got ${actual}`)
    }
  }

  /** Prints one line at once. */
  async line(text: string): Promise<void> {
    if (this.#silent) return
    this.#out.line(text)
    await this.#out.flush()
  }

  #style(style: 'bold' | 'green' | 'red', text: string): string {
    return this.#color ? styleText(style, text) : text
  }
}

function text(value: number | string): string {
  return typeof value === 'number' ? count(value) : value
}
