/**
 * A process that writes to a store of its own until it is killed. It tells its parent, one line a fact, what the engine
 * acknowledged: appends, creations and deletions; of a deletion also that it is about to begin.
 */
import { writeSync } from 'node:fs'
import type * as api from 'millrace'
import { openOptions } from './context.js'
import { keyOf, Payloads } from './payload.js'
import { POLICIES, type KilledData } from './plan.js'
import { Random } from './random.js'

/** A fact, in one write: a pipe keeps so short a line whole, and a line that is cut has no end. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

async function write(data: KilledData): Promise<void> {
  const { Millrace } = (await import(data.entry)) as typeof api
  const random = new Random(data.seed, `killed/${data.life}`)
  const payloads = new Payloads(data.seed)
  say('opening')
  const { testing } = openOptions({ ...data.pace, clockFactor: 1 }) as { testing: { segmentBytesMax: number } }
  const millrace = await Millrace.open(data.directory, { testing } as object)
  const writers = data.producers.map(async ({ producer, keys, policy }) => {
    const stream = await millrace.createStream(policy, {
      shards: 3,
      durability: POLICIES[policy] as api.Durability,
      ifNotExists: true,
    })
    say(`created ${policy}`)
    for (let counter = 0; ;) {
      const end = counter + random.whole(1, 60)
      const puts = []
      for (; counter < end; counter += 1) {
        const origin = { producer, keys, counter }
        puts.push(stream.put({ partitionKey: keyOf(origin), data: payloads.make(origin) }))
      }
      await Promise.all(puts)
      say(`acknowledged ${producer} ${counter}`)
    }
  })
  const churner = (async () => {
    for (let number = 0; ; number += 1) {
      const name = `brief-${data.life}-${number}`
      const stream = await millrace.createStream(name)
      say(`created ${name}`)
      await stream.put({ partitionKey: 'key', data: payloads.make({ producer: 0, counter: number, keys: 1 }) })
      if (number < 2) continue
      const old = `brief-${data.life}-${number - 2}`
      say(`deleting ${old}`)
      await millrace.deleteStream(old)
      say(`deleted ${old}`)
    }
  })()
  await Promise.all([...writers, churner])
}

if (process.argv[2] !== undefined) await write(JSON.parse(process.argv[2]) as KilledData)
