/** `ingest --follow` on real files: rotation, truncation, kills. Each line of the log is in the stream once. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Place } from '../src/cli/follow/places.js'
import { runProgram, startProgram, type Running } from './program.js'

/** Far more than a change takes to be seen, and less than the time limit of a test. */
const SEEN_MS_MAX = 15_000

let directory: string
let log: string
let store: string
let running: Running[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-follow-'))
  mkdirSync(join(directory, 'log'))
  log = join(directory, 'log/app.log')
  store = join(directory, 'store')
  running = []
})

afterEach(async () => {
  for (const program of running) program.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  rmSync(directory, { recursive: true, force: true })
})

function start(...args: string[]): Running {
  const program = startProgram(store, ['ingest', 'app', log, '--follow', '--create', ...args])
  running.push(program)
  return program
}

/** Waits until the noted place is at the end of the file at `path`. */
async function caughtUp(path = log): Promise<void> {
  const size = readFileSync(path).length
  const inode = String(statSync(path).ino)
  await vi.waitUntil(() => places().some((place) => place.inode === inode && place.offset === size), {
    timeout: SEEN_MS_MAX,
    interval: 20,
  })
}

function places(): Place[] {
  const path = `${store}.places.json`
  if (!existsSync(path)) return []
  return Object.values((JSON.parse(readFileSync(path, 'utf8')) as { places: Record<string, Place> }).places)
}

async function stop(program: Running, signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL' = 'SIGINT'): Promise<void> {
  program.kill(signal)
  expect(await program.ended).toBe({ SIGINT: 130, SIGTERM: 143, SIGKILL: null }[signal])
}

/** What is in the stream, in its order. */
function stored(): string[] {
  const { code, stdout, stderr } = runProgram(store, ['tail', 'app', '--until-end', '--data-only'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout.split('\n').filter(Boolean)
}

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => `2026-11-27T10:00:00Z request ${from + i}\n`).join('')
}

function expected(to: number): string[] {
  return lines(0, to).split('\n').filter(Boolean)
}

describe('growth', () => {
  it('lines_are_stored_as_they_are_written_and_a_partial_one_waits_for_its_line_feed', async () => {
    writeFileSync(log, lines(0, 3))
    const program = start('--from-start')
    await caughtUp()
    appendFileSync(log, lines(3, 5))
    await caughtUp()
    appendFileSync(log, 'half a li')
    appendFileSync(log, 'ne\n')
    await caughtUp()
    appendFileSync(log, 'never ended')
    await stop(program)
    expect(stored()).toEqual([...expected(5), 'half a line'])
  })

  it('without_a_place_a_file_is_begun_at_its_end_and_one_that_appears_later_at_its_start', async () => {
    writeFileSync(log, lines(0, 3))
    const program = start()
    await caughtUp()
    appendFileSync(log, lines(3, 5))
    await caughtUp()
    await stop(program)
    expect(stored()).toEqual(expected(5).slice(3))

    log = join(directory, 'log/later.log')
    const waiting = start()
    await vi.waitUntil(() => waiting.errors().includes('is waited for'), { timeout: SEEN_MS_MAX })
    writeFileSync(log, 'first\n')
    await caughtUp()
    await stop(waiting, 'SIGTERM')
    expect(stored()).toEqual([...expected(5).slice(3), 'first'])
  })

  it('a_folder_that_comes_later_and_a_symbolic_link_are_looked_at_by_the_clock', async () => {
    log = join(directory, 'later/app.log')
    const program = start()
    await vi.waitUntil(() => program.errors().includes('folder does not exist'), { timeout: SEEN_MS_MAX })
    mkdirSync(join(directory, 'later'))
    writeFileSync(join(directory, 'elsewhere.log'), 'by a link\n')
    symlinkSync(join(directory, 'elsewhere.log'), log)
    await caughtUp()
    appendFileSync(join(directory, 'elsewhere.log'), 'and on\n')
    await caughtUp()
    await stop(program)
    expect(program.errors()).toContain('symbolic link')
    expect(stored()).toEqual(['by a link', 'and on'])
  })
})

describe('rotation', () => {
  it('a_renamed_file_is_read_to_its_end_before_the_new_one_is_begun', async () => {
    writeFileSync(log, lines(0, 3))
    const program = start('--from-start')
    await caughtUp()
    renameSync(log, `${log}.1`)
    // The writer has the old file open until it is told to open the new one.
    writeFileSync(log, '')
    appendFileSync(`${log}.1`, lines(3, 5))
    await caughtUp(`${log}.1`)
    appendFileSync(`${log}.1`, '2026-11-27T10:00:00Z request 5')
    appendFileSync(log, lines(6, 8))
    await caughtUp()
    await stop(program)
    expect(stored()).toEqual(expected(8))
  })

  it('a_truncated_file_is_gone_on_with_in_its_copy', async () => {
    writeFileSync(log, lines(0, 5))
    const program = start('--from-start')
    await caughtUp()
    // As logrotate does with copytruncate; the last lines stand in the copy alone.
    copyFileSync(log, `${log}.1`)
    appendFileSync(`${log}.1`, lines(5, 7))
    truncateSync(log)
    appendFileSync(log, lines(7, 40))
    await caughtUp()
    await stop(program)
    expect(stored()).toEqual(expected(40))
  })

  it('a_truncated_file_without_a_copy_is_read_from_its_start_and_that_is_told', async () => {
    writeFileSync(log, lines(0, 5))
    const program = start('--from-start')
    await caughtUp()
    // Longer than before at once, so that only its beginning tells.
    writeFileSync(log, 'new content\n'.repeat(50))
    await caughtUp()
    await stop(program)
    expect(program.errors()).toContain('was truncated')
    expect(stored()).toEqual([...expected(5), ...Array.from({ length: 50 }, () => 'new content')])
  })

  it('rotations_while_nobody_followed_are_made_up_for', async () => {
    writeFileSync(log, lines(0, 3))
    const program = start('--from-start')
    await caughtUp()
    await stop(program)
    appendFileSync(log, lines(3, 5))
    renameSync(log, `${log}.2`)
    writeFileSync(`${log}.1`, lines(5, 9))
    writeFileSync(`${log}.bak`, 'nobody asked for this\n')
    // Writes of one test come closer to each other than the file system can tell.
    utimesSync(`${log}.2`, 1000, 1000)
    utimesSync(`${log}.1`, 2000, 2000)
    writeFileSync(log, lines(9, 12))
    const again = start()
    await caughtUp()
    await stop(again)
    expect(stored()).toEqual(expected(12))
  })
})

describe('kills', () => {
  it('after_kill_9_at_any_moment_each_line_is_in_the_stream_once', async () => {
    const total = 60_000
    writeFileSync(log, lines(0, total))
    for (let kills = 0; kills < 4; kills += 1) {
      const before = places()[0]?.offset ?? -1
      const program = start('--from-start')
      await vi.waitUntil(() => (places()[0]?.offset ?? -1) > before, { timeout: SEEN_MS_MAX, interval: 1 })
      await stop(program, 'SIGKILL')
    }
    const program = start()
    await caughtUp()
    await stop(program)
    expect(stored()).toEqual(expected(total))
  })

  it('lines_that_the_place_does_not_cover_are_found_in_the_stream', async () => {
    writeFileSync(log, `${lines(0, 3)}${'the same line\n'.repeat(3)}`)
    const program = start('--from-start')
    await caughtUp()
    const kept = readFileSync(`${store}.places.json`)
    appendFileSync(log, `${lines(3, 5)}${'the same line\n'.repeat(2)}`)
    await caughtUp()
    await stop(program)
    // What a kill between the put and the note leaves.
    writeFileSync(`${store}.places.json`, kept)
    appendFileSync(log, 'the same line\n')
    const again = start('--json')
    await caughtUp()
    await stop(again)
    expect(JSON.parse(again.output())).toMatchObject({ records: 1, recalled: 4 })
    expect(stored().filter((line) => line === 'the same line')).toHaveLength(6)
    expect(stored().filter((line) => line !== 'the same line')).toEqual(expected(5))
  })
})

describe('bad input', () => {
  it('a_bad_line_ends_it_with_its_place_and_is_skipped_when_told', async () => {
    writeFileSync(log, '{"id":1}\nno json\n{"id":3}\n')
    const program = start('--from-start', '--format', 'ndjson', '--key', 'id')
    expect(await program.ended).toBe(1)
    expect(program.errors()).toMatch(/app\.log, line 2: .*; 1 record before it is kept \(ERR_BAD_RECORD\)/)
    const again = start('--format', 'ndjson', '--key', 'id', '--skip-bad', '--json')
    await caughtUp()
    await stop(again)
    expect(JSON.parse(again.output())).toMatchObject({ records: 1, recalled: 1, skipped: 1 })
    expect(stored()).toEqual(['{"id":1}', '{"id":3}'])
  })

  it('what_cannot_be_followed_is_refused', () => {
    const follow = (...args: string[]) => runProgram(store, ['ingest', 'app', '--create', ...args])
    expect(follow('-', '--follow')).toMatchObject({ code: 2 })
    expect(follow('rows.csv', '--follow')).toMatchObject({ code: 2 })
    expect(follow('app.log', '--from-start')).toMatchObject({ code: 2 })
    expect(follow(directory, '--follow')).toMatchObject({ code: 1 })
    writeFileSync(`${store}.places.json`, '{"version":2}')
    const { code, stderr } = follow('app.log', '--follow')
    expect(code).toBe(1)
    expect(stderr).toMatch(/expected a file of places at .*\(ERR_PLACES\)\n$/)
  })
})
