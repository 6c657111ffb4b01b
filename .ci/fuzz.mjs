/**
 * `npm run fuzz`: builds the fuzz targets of `crates/millrace/fuzz` on stable Rust, runs each over its kept corpus and
 * then on new inputs, and prints how many were executed. Nothing in the work tree changes, except with `--keep`.
 *
 *   --seconds N      how long each target makes up new inputs; default 60
 *   --target NAME    only this target; may be given more than once
 *   --seed N         the seed of libFuzzer's choices; default 1
 *   --input FILE     replays one input of the one `--target`
 *   --keep           adds what reached new code to the kept corpus, and minimises it
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, copyFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { asProgram, Refusal, root, run, secondsSince } from './shared.mjs'

const crate = join(root, 'crates', 'millrace', 'fuzz')
const targetFolder = join(resolve(root, process.env['CARGO_TARGET_DIR'] ?? 'target'), 'fuzz')

/** What `cargo fuzz -s none` compiles with: counters at each edge and the operands of comparisons, for libFuzzer. */
const INSTRUMENTED = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
  '-Cllvm-args=-sanitizer-coverage-stack-depth',
  '-Cllvm-args=-simplifycfg-branch-fold-threshold=0',
  '--cfg',
  'fuzzing',
].join(' ')

/** An input that takes longer hangs; one that needs more memory allocates by a number that it holds. */
const LIMITS = ['-timeout=20', '-rss_limit_mb=1024']
/** The longest input in bytes, from the start: a segment takes some hundred. */
const LENGTHS = ['-max_len=2048', '-len_control=0']

/** Inputs whose name begins so found a defect once; they stay in the corpus, whatever code they reach. */
const FINDING = 'found-'

function options() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      target: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string', default: '1' },
      input: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  })
  const all = readdirSync(join(crate, 'fuzz_targets')).map((file) => basename(file, '.rs'))
  const targets = values.target.length === 0 ? all.toSorted() : values.target
  for (const name of targets) {
    if (!all.includes(name)) throw new Refusal(`expected a target out of ${all.join(', ')}, got ${name}`)
  }
  const [seconds, seed] = [wholeNumber('--seconds', values.seconds), wholeNumber('--seed', values.seed)]
  if (values.input !== undefined && targets.length !== 1) throw new Refusal('--input needs one --target')
  return { targets, seconds, seed, input: values.input, keep: values.keep }
}

function wholeNumber(option, text) {
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0) {
    throw new Refusal(`${option}: expected a whole number from 1, got ${text}`)
  }
  return Number(text)
}

/** Builds all targets; resolves to the folder that they are in. */
async function build() {
  const { output } = await run('rustc', ['-vV'], { quiet: true })
  const host = /^host: (.+)$/m.exec(output)?.[1]
  if (host === undefined) throw new Refusal('cannot find out what rustc compiles for; is Rust installed?')
  // The flags are for the targets alone, not for build scripts: that is what naming the host does.
  const args = ['build', '--release', '--locked', '--bins', '--target', host, '--target-dir', targetFolder]
  const flags = [INSTRUMENTED, process.env['RUSTFLAGS'] ?? ''].join(' ').trim()
  const { status } = await run('cargo', [...args, '--manifest-path', join(crate, 'Cargo.toml')], {
    env: { RUSTFLAGS: flags },
  })
  if (status !== 0) {
    // Their lock file is their own: after a change of the engine's dependencies it has to follow.
    const follow = 'cargo update --workspace --manifest-path crates/millrace/fuzz/Cargo.toml'
    throw new Refusal(`the fuzz targets do not build; if it is for their lock file, run: ${follow}`)
  }
  return join(targetFolder, host, 'release')
}

/** Runs one target; resolves to how many inputs it executed, or to what it found. */
async function fuzz(name, folder, { seconds, seed, keep }) {
  const corpus = join(crate, 'corpus', name)
  const artifacts = join(targetFolder, 'artifacts', name)
  const scratch = mkdtempSync(join(tmpdir(), `millrace-fuzz-${name}-`))
  const fresh = join(scratch, 'new')
  for (const made of [corpus, artifacts, fresh]) mkdirSync(made, { recursive: true })
  const started = performance.now()
  const { status, output } = await run(
    join(folder, name),
    [
      ...LIMITS,
      ...LENGTHS,
      `-seed=${seed}`,
      `-max_total_time=${seconds}`,
      `-artifact_prefix=${artifacts}/`,
      '-print_final_stats=1',
      fresh,
      corpus,
    ],
    { quiet: true, cwd: scratch },
  )
  const inputs = Number(/^stat::number_of_executed_units:\s+(\d+)/m.exec(output)?.[1] ?? 0)
  const failed = status !== 0 || inputs < readdirSync(corpus).length
  if (failed) report(name, output)
  else {
    if (keep) await minimise(name, folder, { corpus, fresh, scratch })
    const edges = /\bcov: (\d+) .*\n?$/m.exec(output.slice(output.lastIndexOf('DONE')))?.[1] ?? '?'
    const kept = readdirSync(corpus).length
    console.log(`fuzz: ${name}: ${inputs} inputs, ${edges} edges, corpus of ${kept}, ${secondsSince(started)}`)
  }
  rmSync(scratch, { recursive: true, force: true })
  return { inputs, failed }
}

function report(name, output) {
  console.error(output.split('\n').slice(-60).join('\n'))
  const artifact = /Test unit written to (\S+)/.exec(output)?.[1]
  console.error(`fuzz: ${name}: FAILED`)
  if (artifact === undefined) return
  console.error(`  input:  ${artifact}`)
  console.error(`  replay: npm run fuzz -- --target ${name} --input ${artifact}`)
}

/** Leaves in the kept corpus the fewest inputs that reach all code, and those that found something. */
async function minimise(name, folder, { corpus, fresh, scratch }) {
  const merged = join(scratch, 'merged')
  mkdirSync(merged)
  const { status, output } = await run(
    join(folder, name),
    [...LIMITS, '-set_cover_merge=1', '-use_counters=0', merged, fresh, corpus],
    { quiet: true, cwd: scratch },
  )
  if (status !== 0) throw new Refusal(`the corpus of ${name} cannot be minimised:\n${output}`)
  const before = `${corpus}.before`
  rmSync(before, { recursive: true, force: true })
  renameSync(corpus, before)
  mkdirSync(corpus)
  for (const file of readdirSync(merged)) copyFileSync(join(merged, file), join(corpus, file))
  for (const file of readdirSync(before)) {
    if (file.startsWith(FINDING)) copyFileSync(join(before, file), join(corpus, file))
  }
  rmSync(before, { recursive: true, force: true })
}

/** Runs `work` on each item, as many at once as there are processors for. */
async function forEachAtOnce(items, work) {
  const waiting = [...items]
  const results = []
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) results.push(await work(item))
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), items.length) }, worker))
  return results
}

async function replay(name, folder, input) {
  if (!existsSync(input)) throw new Refusal(`there is no input ${input}`)
  const { status } = await run(join(folder, name), [...LIMITS, resolve(input)])
  if (status !== 0) throw new Refusal(`fuzz: ${name}: ${input} fails`)
  console.log(`fuzz: ${name}: ${input} passes`)
}

await asProgram(async () => {
  const chosen = options()
  const compiler = process.env['CXX'] ?? 'c++'
  if ((await run(compiler, ['--version'], { quiet: true })).status !== 0) {
    console.log(`fuzz: skipped: libFuzzer needs a C++ compiler, and ${compiler} is not installed`)
    return
  }
  const folder = await build()
  if (chosen.input !== undefined) return await replay(chosen.targets[0], folder, chosen.input)
  console.log(`fuzz: ${chosen.targets.length} targets, ${chosen.seconds} s each, seed ${chosen.seed}`)
  const results = await forEachAtOnce(chosen.targets, (name) => fuzz(name, folder, chosen))
  const failures = results.filter(({ failed }) => failed).length
  const inputs = results.reduce((sum, result) => sum + result.inputs, 0)
  if (failures > 0) throw new Refusal(`fuzz: ${failures} of ${results.length} targets failed`)
  console.log(`fuzz: ${inputs} inputs over ${results.length} targets`)
})
