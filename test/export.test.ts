/** `export`: what was put comes back out of NDJSON, CSV and Parquet, and a file is whole or absent. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ColumnFinder } from '../src/cli/export/columns.js'
import { runProgram, startProgram } from './program.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-export-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

interface Row {
  readonly shardId: string
  readonly sequenceNumber: string
  readonly partitionKey: string
  readonly approximateArrivalTimestamp: string
  readonly data: string
}

const run = (args: readonly string[], input?: string | Buffer) => runProgram(join(directory, 'store'), args, input)
const at = (name: string): string => join(directory, name)

function ok(args: readonly string[], input?: string | Buffer): string {
  const outcome = run(args, input)
  expect(outcome, args.join(' ')).toMatchObject({ code: 0 })
  return outcome.stdout
}

function tail(...args: string[]): Row[] {
  const lines = ok(['tail', 'clicks', '--until-end', ...args]).split('\n')
  return lines.filter(Boolean).map((line) => JSON.parse(line) as Row)
}

async function parquetRows(path: string): Promise<Record<string, unknown>[]> {
  return await parquetReadObjects({ file: await asyncBufferFromFile(path), utf8: false })
}

const clicks = Array.from({ length: 2500 }, (_, n) => ({
  page: `/${n % 7},"quoted"`,
  n,
  share: n / 4,
  fresh: n % 2 === 0,
  tags: n % 3 === 0 ? ['a', n] : null,
  ...(n > 2000 ? { late: n > 2400 ? String(n) : n } : {}),
}))

function ingestClicks(): void {
  const lines = clicks.map((click) => JSON.stringify(click)).join('\n')
  ok(['ingest', 'clicks', '--create', '--shards', '3', '--format', 'ndjson', '--key', 'page'], lines)
}

describe('forms', () => {
  it('ndjson_is_what_tail_prints_also_packed', () => {
    ingestClicks()
    const printed = ok(['tail', 'clicks', '--until-end'])
    expect(ok(['export', 'clicks'])).toBe(printed)
    const report = JSON.parse(ok(['export', 'clicks', '--out', at('clicks.ndjson.gz'), '--json'])) as object
    expect(report).toMatchObject({ stream: 'clicks', format: 'ndjson', records: clicks.length })
    expect(gunzipSync(readFileSync(at('clicks.ndjson.gz'))).toString()).toBe(printed)
    expect(ok(['export', 'clicks', '--parse', '--limit', '1'])).toContain('"data":{"page"')
  })

  it('csv_has_a_row_a_record_and_with_parse_a_column_a_field', () => {
    ingestClicks()
    const rows = parse<Record<string, string>>(ok(['export', 'clicks', '--format', 'csv']), { columns: true })
    expect(rows).toEqual(tail().map((record) => ({ ...record, encoding: '' })))
    ok(['export', 'clicks', '--out', at('clicks.csv'), '--parse'])
    const parsed = parse<Record<string, string>>(readFileSync(at('clicks.csv'), 'utf8'), { columns: true })
    expect(parsed).toHaveLength(clicks.length)
    for (const row of parsed) {
      const { page, n, tags, late } = clicks[Number(row['n'])] as (typeof clicks)[number]
      expect(row).toMatchObject({ page, n: String(n), tags: tags === null ? '' : JSON.stringify(tags) })
      expect(row['late']).toBe(late === undefined ? '' : String(late))
    }
  })

  it('parquet_keeps_every_byte_of_every_record', async () => {
    ok(['create', 'clicks', '--shards', '3'])
    for (const key of ['a', 'b', 'ü'])
      ok(['put', 'clicks', '--key', key, '-'], Buffer.from([0xff, 0, 0xfe, key.length]))
    ok(['export', 'clicks', '--out', at('clicks.parquet')])
    const rows = await parquetRows(at('clicks.parquet'))
    const expected = tail().map(({ shardId, sequenceNumber, partitionKey, approximateArrivalTimestamp, data }) => ({
      shardId,
      sequenceNumber,
      partitionKey,
      approximateArrivalTimestamp: new Date(approximateArrivalTimestamp),
      data: Uint8Array.from(Buffer.from(data, 'base64')),
    }))
    const found = rows.map((row) => ({ ...row, data: Uint8Array.from(row['data'] as Uint8Array) }))
    expect(found).toEqual(expected)
  })

  it('parquet_with_parse_has_typed_columns_and_loses_no_value', async () => {
    ingestClicks()
    ok(['put', 'clicks', '--key', 'odd', 'no object'])
    ok(['export', 'clicks', '--out', at('clicks.parquet'), '--parse'])
    const { schema } = await parquetMetadataAsync(await asyncBufferFromFile(at('clicks.parquet')))
    const types = Object.fromEntries(schema.slice(5).map(({ name, type, converted_type: as }) => [name, as ?? type]))
    expect(types).toEqual({
      page: 'UTF8',
      n: 'INT64',
      share: 'DOUBLE',
      fresh: 'BOOLEAN',
      tags: 'JSON',
      late: 'JSON',
      data: 'BYTE_ARRAY',
    })
    const rows = await parquetRows(at('clicks.parquet'))
    const odd = rows.filter((row) => row['data'] !== undefined && row['data'] !== null)
    expect(odd.map((row) => Buffer.from(row['data'] as Uint8Array).toString())).toEqual(['no object'])
    const found = rows.filter((row) => !odd.includes(row)).toSorted((a, b) => Number(a['n']) - Number(b['n']))
    expect(found).toHaveLength(clicks.length)
    for (const [n, { page, share, fresh, tags, late = null }] of clicks.entries()) {
      expect(found[n]).toMatchObject({ page, n: BigInt(n), share, fresh })
      expect({ tags: found[n]?.['tags'] ?? null, late: found[n]?.['late'] ?? null }).toEqual({ tags, late })
    }
  })

  it('an_empty_stream_makes_a_file_that_can_be_read', async () => {
    ok(['create', 'clicks'])
    ok(['export', 'clicks', '--out', at('clicks.parquet')])
    ok(['export', 'clicks', '--out', at('parsed.parquet'), '--parse'])
    expect(await parquetRows(at('clicks.parquet'))).toEqual([])
    expect(await parquetRows(at('parsed.parquet'))).toEqual([])
    expect(ok(['export', 'clicks', '--format', 'csv'])).toMatch(/^shardId,.*,data,encoding\n$/)
  })
})

describe('selection', () => {
  it('from_to_shard_and_limit_bound_what_is_taken', () => {
    ingestClicks()
    const all = tail()
    const middle = all[1234] as Row
    const later = (row: Row): boolean => row.sequenceNumber >= middle.sequenceNumber
    const exported = (...args: string[]): string[] =>
      ok(['export', 'clicks', ...args])
        .split('\n')
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as Row).sequenceNumber)
    const numbers = (rows: readonly Row[]): string[] => rows.map(({ sequenceNumber }) => sequenceNumber)
    expect(exported('--to', `before:${middle.sequenceNumber}`)).toEqual(numbers(all.filter((row) => !later(row))))
    expect(exported('--from', `at:${middle.sequenceNumber}`)).toEqual(numbers(all.filter(later)))
    expect(exported('--limit', '7')).toEqual(numbers(all.slice(0, 7)))
    expect(exported('--shard', middle.shardId)).toEqual(numbers(tail('--shard', middle.shardId)))
    expect(exported('--to', '1h')).toEqual([])
    expect(exported('--to', new Date(Date.now() + 3_600_000).toISOString())).toEqual(numbers(all))
  })
})

describe('files', () => {
  it('an_interrupted_or_failed_export_leaves_what_was_there', async () => {
    const lines = Array.from({ length: 400_000 }, (_, n) => `a line that takes its time ${n}`).join('\n')
    ok(['ingest', 'clicks', '--create'], lines)
    writeFileSync(at('clicks.csv.gz'), 'before')
    const files = readdirSync(directory).toSorted()
    const program = startProgram(join(directory, 'store'), ['export', 'clicks', '--out', at('clicks.csv.gz')])
    await expect
      .poll(() => readdirSync(directory), { timeout: 15_000, interval: 2 })
      .toContain('clicks.csv.gz.unfinished')
    program.kill('SIGINT')
    expect(await program.ended).toBe(130)
    expect(run(['export', 'nowhere', '--out', at('clicks.csv.gz')])).toMatchObject({ code: 1 })
    expect(run(['export', 'clicks', '--out', join(directory, 'absent/clicks.csv')])).toMatchObject({ code: 1 })
    expect(readFileSync(at('clicks.csv.gz'), 'utf8')).toBe('before')
    expect(readdirSync(directory).toSorted()).toEqual(files)
    ok(['export', 'clicks', '--out', at('clicks.csv.gz')])
    expect(
      gunzipSync(readFileSync(at('clicks.csv.gz')))
        .toString()
        .split('\n'),
    ).toHaveLength(400_002)
  })

  it('what_does_not_fit_together_is_wrong_usage', () => {
    ok(['create', 'clicks'])
    for (const args of [
      ['--json'],
      ['--format', 'parquet'],
      ['--out', at('x.parquet.gz')],
      ['--to', 'before:12'],
      ['--format', 'xml'],
    ]) {
      expect(run(['export', 'clicks', ...args]), args.join(' ')).toMatchObject({ code: 2, stdout: '' })
    }
  })
})

describe('columns', () => {
  it('fields_named_like_a_record_s_own_columns_get_another_name', () => {
    const finder = new ColumnFinder()
    finder.see({ data: 1, data_data: 'x', shardId: true, plain: null })
    expect(finder.columns()).toEqual([
      { name: 'data_data_data', field: 'data', type: 'integer' },
      { name: 'data_data', field: 'data_data', type: 'text' },
      { name: 'data_shardId', field: 'shardId', type: 'boolean' },
      { name: 'plain', field: 'plain', type: 'json' },
    ])
  })

  it('too_many_fields_are_no_table', () => {
    const finder = new ColumnFinder()
    const many = Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`user-${n}`, n]))
    expect(() => finder.see(many)).toThrow('export without --parse')
  })
})
