/** What a soak shows: a line while it runs, and a table of what it did and held at the end. */
import { writeFileSync } from 'node:fs'
import { COUNTED, type Counted } from './context.js'
import type { Verdict } from './judge.js'
import type { Sample } from './resources.js'
import type { Soak } from './soak.js'

const MIB = 2 ** 20
/** Without a terminal a line stands for so many samples. */
const SAMPLES_A_LINE = 10

const TITLES: Readonly<Record<Counted, string>> = {
  recordsAcknowledged: 'records acknowledged',
  kibAcknowledged: 'KiB acknowledged',
  backpressure: 'appends held back',
  recordsRead: 'records read and checked',
  recordsExpired: 'records found expired',
  readersRestarted: 'readers restarted',
  readersToldOfDeletion: 'readers told of a deletion',
  viewsHeld: 'batches held',
  viewsChecked: 'held batches summed again',
  streamsCreated: 'streams created',
  streamsDeleted: 'streams deleted',
  reshards: 'shards split or merged',
  flushes: 'flushes',
  descriptions: 'streams described',
  verifications: 'stores verified under load',
  audits: 'streams audited',
}

/** Shows the run's state: over and over on a terminal, a line every ten seconds elsewhere. */
export function showSample(sample: Sample, soak: Soak): void {
  const line = statusOf(sample, soak)
  if (process.stdout.isTTY) process.stdout.write(`\r\u001B[K${line.slice(0, process.stdout.columns - 1)}`)
  else if (soak.samples.length % SAMPLES_A_LINE === 0) console.log(line)
}

/** Shows what was done, what was held and what was broken. */
export function showEnd(soak: Soak, verdicts: readonly Verdict[] | undefined): void {
  if (process.stdout.isTTY) process.stdout.write('\r\u001B[K')
  console.log('\ndone')
  for (const [title, count] of figuresOf(soak)) console.log(`  ${title.padEnd(30)}${count.toLocaleString('en')}`)
  if (verdicts === undefined) console.log('\nheld: too few samples to judge')
  else {
    console.log(`\nheld          ${['earlier', 'later', 'bound', 'highest'].map((head) => head.padStart(11)).join('')}`)
    for (const { figure, earlier, later, bound, highest, kept } of verdicts) {
      const cells = [earlier, later, bound, highest].map((value) => amount(figure, value).padStart(11))
      console.log(`  ${figure.padEnd(12)}${cells.join('')}${kept ? '' : '  GREW'}`)
    }
  }
  for (const breach of soak.breaches) console.log(`\nBROKEN: ${breach}`)
}

/** Writes all that was counted, judged and sampled. */
export function writeJson(path: string, soak: Soak, verdicts: readonly Verdict[] | undefined): void {
  const { seed, minutes } = soak.options
  const done = Object.fromEntries(figuresOf(soak))
  const report = { seed, minutes, pace: soak.pace, done, verdicts, breaches: soak.breaches, samples: soak.samples }
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`)
}

/** What a run did, by name. */
export function figuresOf(soak: Soak): [string, number][] {
  const counted = COUNTED.map((name): [string, number] => [TITLES[name], soak.counters.get(name)])
  return [
    ['seconds', Math.round(soak.elapsedMs / 1000)],
    ['retentions passed', Math.floor(soak.elapsedMs / soak.pace.retentionMs)],
    ...counted,
    ['threads started', soak.threads.started],
    ['threads terminated in flight', soak.threads.terminated],
    ['store closed and opened again', soak.rounds],
    ['processes killed', soak.kills.kills],
    ['records found after kills', soak.kills.records],
    ['samples', soak.samples.length],
  ]
}

function statusOf(sample: Sample, soak: Soak): string {
  const { counters } = soak
  const left = Math.max(0, (soak.runMs - sample.ms) / 1000).toFixed(0)
  return [
    `${(sample.ms / 1000).toFixed(0)} s, ${left} s left`,
    `${(counters.get('recordsAcknowledged') / 1e6).toFixed(2)} M written`,
    `${(counters.get('recordsRead') / 1e6).toFixed(2)} M read`,
    `${soak.threads.size} threads`,
    `${soak.kills.kills} kills`,
    `rss ${mib(sample.rss)}`,
    `heap ${mib(sample.heapUsed)}`,
    `disk ${mib(sample.disk)}`,
    `${sample.descriptors} fds`,
    `${sample.maps} maps`,
    `delay ${sample.delayMs.toFixed(0)} ms`,
  ].join(' │ ')
}

function amount(figure: Verdict['figure'], value: number): string {
  if (figure === 'delayMs') return `${value.toFixed(0)} ms`
  return ['descriptors', 'maps', 'threads'].includes(figure) ? value.toFixed(0) : mib(value)
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
