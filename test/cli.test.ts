/** The command line program as its users run it: the built file, as a child process. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ERROR_CODES } from '../src/errors.js'
import { fileWith, MAIN, runProgram, startProgram, type Outcome } from './program.js'
import { CHILD_MS_MAX } from './support.js'

interface TailLine {
  readonly shardId: string
  readonly sequenceNumber: string
  readonly partitionKey: string
  readonly approximateArrivalTimestamp: string
  readonly data: unknown
  readonly encoding?: string
}

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function run(args: readonly string[], input?: string | Buffer): Outcome {
  return runProgram(join(directory, 'store'), args, input)
}

/** Runs what must succeed, and returns its standard output. */
function ok(args: readonly string[], input?: string | Buffer): string {
  const outcome = run(args, input)
  expect(outcome, `millrace ${args.join(' ')}`).toMatchObject({ code: 0 })
  return outcome.stdout
}

function file(name: string, content: string | Buffer): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

function tail(stream: string, ...args: string[]): TailLine[] {
  const lines = ok(['tail', stream, '--until-end', ...args])
    .split('\n')
    .filter(Boolean)
  return lines.map((line) => JSON.parse(line) as TailLine)
}

describe('help and usage', () => {
  it('every_command_has_help_with_examples', { timeout: 120_000 }, () => {
    const help = ok(['--help'])
    expect(help).toContain('Exit codes:')
    const commands = [...help.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name as string)
    expect(commands.length).toBeGreaterThan(10)
    for (const command of commands.filter((name) => name !== 'help')) {
      expect(ok([command, '--help'])).toContain(`$ millrace ${command}`)
    }
  })

  it('version_is_the_package_version', () => {
    const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(ok(['--version'])).toBe(`${manifest.version}\n`)
  })

  it('wrong_usage_exits_2_with_one_line', () => {
    const wrong = [
      ['create'],
      ['create', 'clicks', '--shards', 'many'],
      ['create', 'clicks', '--retention', '1h'],
      ['put', 'clicks', 'data'],
      ['tail', 'clicks', '--from', 'yesterday'],
      ['ingest', 'clicks', '--format', 'lines', '--key', 'a'],
      ['delete', 'clicks'],
      ['repair', 'store'],
      ['frobnicate'],
      ['list', '--frobnicate'],
    ]
    for (const args of wrong) {
      const { code, stdout, stderr } = run(args)
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' })
      expect(stderr).toMatch(/^millrace: .+ \(ERR_[A-Z_]+\)\n$/)
    }
  })

  it('a_fault_exits_1_with_its_stable_code', () => {
    ok(['create', 'clicks'])
    const { code, stderr } = run(['describe', 'other'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^millrace: .*other.* \(ERR_MILLRACE_STREAM_NOT_FOUND\)\n$/)
  })

  it('reading_commands_do_not_make_a_store', () => {
    const { code, stderr } = run(['list'])
    expect(code).toBe(1)
    expect(stderr).toContain('(ERR_MILLRACE_NOT_A_STORE)')
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('streams', () => {
  it('create_list_describe_and_delete_agree', () => {
    ok(['create', 'clicks', '--shards', '4', '--retention', '7d', '--durability', 'interval:50'])
    const list = JSON.parse(ok(['list', '--json'])) as unknown[]
    expect(list).toMatchObject([{ name: 'clicks', shards: 4, retentionHours: 168, durability: { interval: 50 } }])
    const described = JSON.parse(ok(['describe', 'clicks', '--json'])) as { shardList: { shardId: string }[] }
    expect(described.shardList.map(({ shardId }) => shardId)).toEqual(
      [0, 1, 2, 3].map((n) => `shardId-00000000000${n}`),
    )
    expect(ok(['describe', 'clicks'])).toContain('340282366920938463463374607431768211455')
    expect(ok(['delete', 'clicks', '--yes'])).toBe("deleted stream 'clicks'\n")
    expect(JSON.parse(ok(['list', '--json']))).toEqual([])
  })

  it('create_refuses_a_second_time_unless_told', () => {
    ok(['create', 'clicks', '--codec', 'json'])
    expect(run(['create', 'clicks'])).toMatchObject({ code: 1, stdout: '' })
    expect(run(['create', 'clicks']).stderr).toContain('ERR_MILLRACE_STREAM_EXISTS')
    expect(ok(['create', 'clicks', '--if-not-exists'])).toContain('exists already')
  })

  it('retention_is_shown_and_changed', () => {
    ok(['create', 'clicks'])
    expect(ok(['retention', 'clicks'])).toContain('24 h')
    expect(ok(['retention', 'clicks', '30d'])).toContain('30 d (was 24 h)')
    expect(JSON.parse(ok(['retention', 'clicks', '--json']))).toMatchObject({ retentionHours: 720 })
    expect(run(['retention', 'clicks', '23h'])).toMatchObject({ code: 2 })
  })
})

describe('put and tail', () => {
  it('a_put_record_comes_back_where_it_was_put', () => {
    ok(['create', 'clicks', '--shards', '2'])
    const placed = JSON.parse(ok(['put', 'clicks', '--json', '--key', 'user-42', '{"page":"/"}'])) as TailLine
    expect(placed.sequenceNumber).toMatch(/^\d{56}$/)
    const [record, ...more] = tail('clicks')
    expect(more).toEqual([])
    expect(record).toMatchObject({ ...placed, partitionKey: 'user-42', data: '{"page":"/"}' })
    expect(Math.abs(Date.parse(record?.approximateArrivalTimestamp ?? '') - Date.now())).toBeLessThan(60_000)
    expect(tail('clicks', '--parse')[0]?.data).toEqual({ page: '/' })
    expect(tail('clicks', '--from', `at:${placed.sequenceNumber}`)).toHaveLength(1)
    expect(tail('clicks', '--from', `after:${placed.sequenceNumber}`)).toHaveLength(0)
  })

  it('data_that_is_no_text_comes_as_base64', () => {
    const bytes = Buffer.from([0xff, 0x00, 0xfe])
    ok(['create', 'images'])
    ok(['put', 'images', '--key', 'cat', '-'], bytes)
    expect(tail('images')).toMatchObject([{ data: bytes.toString('base64'), encoding: 'base64' }])
  })

  it('an_explicit_hash_key_chooses_the_shard', () => {
    ok(['create', 'clicks', '--shards', '4'])
    const last = (2n ** 128n - 1n).toString()
    expect(ok(['put', 'clicks', '--key', 'k', '--hash-key', last, 'x'])).toMatch(/^shardId-000000000003 /)
    expect(tail('clicks', '--shard', 'shardId-000000000003')).toHaveLength(1)
    expect(tail('clicks', '--shard', 'shardId-000000000000')).toHaveLength(0)
  })

  it('streams_with_codecs_are_read_and_written_as_bytes', () => {
    ok(['create', 'packed', '--codec', 'lz4(json)'])
    ok(['put', 'packed', '--key', 'k', '{"a":1}'])
    expect(tail('packed', '--parse')).toMatchObject([{ data: { a: 1 } }])
    expect(run(['put', 'packed', '--key', 'k', 'no json'])).toMatchObject({ code: 1 })
  })

  it('a_follower_sees_what_another_start_wrote_and_ends_at_the_limit', () => {
    ok(['create', 'clicks'])
    ok(['ingest', 'clicks'], 'a\nb\nc\n')
    const lines = ok(['tail', 'clicks', '--from', 'trim-horizon', '--limit', '2', '--data-only'])
    expect(lines).toBe('a\nb\n')
    expect(tail('clicks', '--from', '1h')).toHaveLength(3)
    expect(tail('clicks', '--from', new Date(Date.now() - 60_000).toISOString())).toHaveLength(3)
    const future = new Date(Date.now() + 60_000).toISOString()
    expect(run(['tail', 'clicks', '--until-end', '--from', future])).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('ingest', () => {
  it('ndjson_is_stored_line_by_line_under_its_key', () => {
    const lines = Array.from({ length: 12_345 }, (_, n) => JSON.stringify({ n, user: { id: n % 7 } }))
    const path = file('in.ndjson', `${lines.join('\n')}\n`)
    const report = JSON.parse(
      ok(['ingest', 'clicks', path, '--create', '-s', '3', '-k', 'user.id', '--json']),
    ) as object
    expect(report).toMatchObject({ stream: 'clicks', records: lines.length, skipped: 0 })
    const records = tail('clicks')
    expect(records.map(({ data }) => data as string).sort()).toEqual([...lines].sort())
    for (const key of ['0', '6']) {
      const ofKey = records.filter((record) => record.partitionKey === key).map(({ data }) => data)
      expect(ofKey).toEqual(lines.filter((_, n) => String(n % 7) === key))
    }
  })

  it('csv_rows_become_objects', () => {
    const path = file('in.csv', 'origin,note\nLAS,"two\nlines, one comma"\nATL,""\n')
    ok(['ingest', 'flights', path, '--create', '--key', 'origin'])
    expect(tail('flights', '--parse')).toMatchObject([
      { partitionKey: 'LAS', data: { origin: 'LAS', note: 'two\nlines, one comma' } },
      { partitionKey: 'ATL', data: { origin: 'ATL', note: '' } },
    ])
  })

  it('csv_without_a_header_takes_names', () => {
    ok(['ingest', 'flights', '-', '--create', '-f', 'csv', '--columns', 'a,b', '-k', 'b'], '1,2\n3,4\n')
    expect(tail('flights', '--parse').map(({ partitionKey, data }) => ({ partitionKey, data }))).toEqual([
      { partitionKey: '2', data: { a: '1', b: '2' } },
      { partitionKey: '4', data: { a: '3', b: '4' } },
    ])
  })

  it('raw_lines_of_packed_input_keep_their_bytes', () => {
    const lines = ['plain', 'with\ttab', 'ünïcode', 'last without end']
    const path = file('in.txt.gz', gzipSync(`plain\r\n\n${lines.slice(1).join('\n')}`))
    ok(['ingest', 'words', path, '--create', '--key-line'])
    expect(tail('words').map(({ data }) => data)).toEqual(lines)
    expect(tail('words').map(({ partitionKey }) => partitionKey)).toEqual(lines)
  })

  it('equal_lines_share_a_hashed_key', () => {
    ok(['ingest', 'words', '--create'], 'a\nb\na\n')
    const [first, second, third] = tail('words').map(({ partitionKey }) => partitionKey)
    expect(first).toBe(third)
    expect(first).not.toBe(second)
  })

  it('a_bad_line_stops_with_its_number_and_what_came_before_is_kept', () => {
    const { code, stderr } = run(
      ['ingest', 'clicks', '--create', '-k', 'id'],
      '{"id":1}\n{"id":2}\n{"other":3}\n{"id":4}\n',
    )
    expect(code).toBe(1)
    expect(stderr).toMatch(/line 3: .*'id'.*; 2 records before it are kept/)
    expect(tail('clicks')).toHaveLength(2)
  })

  it('bad_lines_are_skipped_and_counted_when_told', () => {
    const input = '{"id":1}\nno json\n{"id":""}\n{"id":4}\n'
    const report = JSON.parse(ok(['ingest', 'clicks', '--create', '-k', 'id', '--skip-bad', '--json'], input)) as object
    expect(report).toMatchObject({ records: 2, skipped: 2 })
    expect(tail('clicks').map(({ partitionKey }) => partitionKey)).toEqual(['1', '4'])
  })

  it('an_absent_file_is_named', () => {
    const { code, stderr } = run(['ingest', 'clicks', join(directory, 'nowhere.csv'), '--create'])
    expect(code).toBe(1)
    expect(stderr).toContain('nowhere.csv')
  })

  it('counts_by_shard_add_up', () => {
    const input = Array.from({ length: 1000 }, (_, n) => `line ${n}`).join('\n')
    ok(['ingest', 'words', '--create', '--shards', '4'], input)
    const { counts } = JSON.parse(ok(['describe', 'words', '--count', '--json'])) as { counts: { records: number }[] }
    expect(counts).toHaveLength(4)
    expect(counts.reduce((sum, { records }) => sum + records, 0)).toBe(1000)
    for (const { records } of counts) expect(records).toBeGreaterThan(150)
  })
})

describe('verify', () => {
  it('a_sound_store_verifies_and_a_flipped_bit_exits_3', () => {
    const input = Array.from({ length: 5000 }, (_, n) => `line ${n} needle-${n}`).join('\n')
    ok(['ingest', 'words', '--create'], input)
    const report = JSON.parse(ok(['verify', '--json'])) as { records: number; damages: unknown[] }
    expect(report).toMatchObject({ streams: 1, records: 5000, damages: [] })

    const damaged = flipBitAt(join(directory, 'store'), 'needle-1000')
    const { code, stdout } = run(['verify', '--json'])
    expect(code).toBe(3)
    const { damages } = JSON.parse(stdout) as { damages: { stream: string; segment: string }[] }
    expect(damages).toHaveLength(1)
    expect(damages[0]?.stream).toBe('words')
    expect(damaged).toContain(damages[0]?.segment)
    expect(run(['verify']).stdout).toContain('1 place damaged')
  })
})

describe('other processes', () => {
  it('a_store_in_use_exits_4_and_an_interrupted_follower_130', async () => {
    ok(['create', 'clicks'])
    ok(['put', 'clicks', '--key', 'k', 'first'])
    const follower = startProgram(join(directory, 'store'), ['tail', 'clicks', '--from', 'TRIM_HORIZON', '--data-only'])
    await follower.heard('first\n')
    const { code, stderr } = run(['list'])
    expect({ code, stderr }).toMatchObject({ code: 4 })
    expect(stderr).toMatch(new RegExp(`${follower.pid}.*\\(ERR_MILLRACE_LOCKED\\)`))
    expect(run(['verify']).code).toBe(4)
    expect(run(['repair', '--to', join(directory, 'copy')]).code).toBe(4)
    follower.kill('SIGINT')
    expect(await follower.ended).toBe(130)
    ok(['list'])
  })

  it('an_interrupted_ingest_keeps_what_it_acknowledged', async () => {
    ok(['create', 'clicks'])
    const writer = startProgram(join(directory, 'store'), ['ingest', 'clicks', '--json', '--batch', '1'])
    writer.type('a line\n'.repeat(100_000))
    // Looked for from outside of the store: whoever opens it to look may be its holder at the moment when the writer comes.
    await vi.waitUntil(() => fileWith(join(directory, 'store'), 'a line') !== undefined, { timeout: 15_000 })
    writer.kill('SIGTERM')
    expect(await writer.ended).toBe(143)
    const { records } = JSON.parse(writer.output()) as { records: number }
    expect(tail('clicks')).toHaveLength(records)
  })

  it('a_reader_that_leaves_early_is_no_fault', () => {
    const input = Array.from({ length: 50_000 }, (_, n) => `a line that fills pipes ${n}`).join('\n')
    ok(['ingest', 'words', '--create'], input)
    const script = `"${process.execPath}" "${MAIN}" tail words --until-end | head -n 1; echo "\${PIPESTATUS[0]}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', script], {
      encoding: 'utf8',
      env: { ...process.env, MILLRACE_DATA: join(directory, 'store') },
      timeout: CHILD_MS_MAX,
    })
    const [first = '', status] = stdout.split('\n')
    expect(JSON.parse(first)).toMatchObject({ data: 'a line that fills pipes 0' })
    expect({ status, stderr }).toEqual({ status: '0', stderr: '' })
  })
})

it('every_code_of_the_api_can_be_told_from_usage', () => {
  // The program's own codes must never look like those of the API, which programs compare with.
  expect(ERROR_CODES).not.toContain('ERR_USAGE')
  expect(ERROR_CODES.every((code) => code.startsWith('ERR_MILLRACE_'))).toBe(true)
})

/** Flips one bit of the first file that contains `text`; returns the file's path. */
function flipBitAt(root: string, text: string): string {
  const path = fileWith(root, text)
  if (path === undefined) throw new Error(`expected a file with '${text}' in ${root}`)
  const bytes = readFileSync(path)
  const at = bytes.indexOf(text)
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(path, bytes)
  return path
}
