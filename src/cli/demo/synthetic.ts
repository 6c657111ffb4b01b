/** Made-up flights for machines without the data set: the same shape, the same skew over airports, the same each run. */
import type { Flight } from './flights.js'

const AIRPORTS = 229
const GROUP = 50_000
const START = Date.UTC(2001, 0, 1)
/** Three million departures over half a year. */
const MILLISECONDS_BETWEEN = 5200

/** `limit` flights in groups. */
export async function* syntheticFlights(limit: number): AsyncGenerator<Flight[]> {
  const random = generator(20_010_101)
  for (let first = 0; first < limit; first += GROUP) {
    const length = Math.min(GROUP, limit - first)
    yield Array.from({ length }, (_, index) => flight(first + index, random))
  }
}

function flight(row: number, random: () => number): Flight {
  return {
    row,
    date: new Date(START + row * MILLISECONDS_BETWEEN).toISOString(),
    // The square favours low numbers, as a few hubs have most departures.
    origin: airport(Math.floor(random() ** 2 * AIRPORTS)),
    destination: airport(Math.floor(random() * AIRPORTS)),
    delay: Math.floor(random() ** 3 * 180) - 10,
    distance: 100 + Math.floor(random() * 2500),
  }
}

function airport(number: number): string {
  const letter = (value: number): string => String.fromCharCode(65 + (value % 26))
  return letter(number) + letter(Math.floor(number / 26)) + letter(number * 7)
}

/** Mulberry32: small, and the same numbers everywhere. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
