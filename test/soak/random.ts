/**
 * Choices that a seed repeats: one stream of numbers for each name, so that what one activity asks for does not shift
 * what another one gets.
 */

/** A source of choices. */
export class Random {
  #state: number

  /** The choices of `name` under `seed`. */
  constructor(seed: number, name: string) {
    let hash = (seed ^ 0x9e37_79b9) >>> 0
    for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x0100_0193) >>> 0
    this.#state = hash
  }

  /** A fraction from 0 on, below 1 (the mulberry32 generator). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` to `most`. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1))
  }

  /** One of the choices. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.whole(0, choices.length - 1)] as T
  }

  /** True in `percent` of the cases. */
  chance(percent: number): boolean {
    return this.fraction() * 100 < percent
  }
}
