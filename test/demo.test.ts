/** The demo holds all of its checks, leaves nothing behind, and names a check that does not hold. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Ledger } from '../src/cli/demo/ledger.js'
import { Report } from '../src/cli/demo/report.js'
import { acknowledgementLine, parseAcknowledgements } from '../src/cli/demo/witness.js'
import { Output } from '../src/cli/output.js'
import { CHILD_MS_MAX } from './support.js'

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const CHECKS = 17

interface DemoResult {
  readonly ok: boolean
  readonly checks: readonly { readonly claim: string; readonly ok: boolean }[]
}

it('the_quick_demo_holds_every_check_and_cleans_up', { timeout: 120_000 }, () => {
  const temporary = mkdtempSync(join(tmpdir(), 'millrace-demo-test-'))
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'demo', '--quick', '--json'], {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporary },
      timeout: CHILD_MS_MAX,
    })
    expect(stderr).toBe('')
    const result = JSON.parse(stdout) as DemoResult
    expect(result.checks.filter((check) => !check.ok)).toEqual([])
    expect(result.checks).toHaveLength(CHECKS)
    expect({ status, ok: result.ok }).toEqual({ status: 0, ok: true })
    expect(readdirSync(temporary)).toEqual([])
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
})

it('a_ledger_tells_loss_order_and_content_apart', () => {
  const written = ledger(['a', '1'], ['b', '1'], ['a', '2'])
  expect(written.differences(ledger(['b', '1'], ['a', '1'], ['a', '2']))).toEqual([])
  expect(written.differences(ledger(['a', '2'], ['b', '1'], ['a', '1']))).toEqual(['a'])
  expect(written.differences(ledger(['a', '1'], ['b', '1']))).toEqual(['a'])
  expect(written.differences(ledger(['a', '1'], ['b', '9'], ['a', '2']))).toEqual(['b'])
  expect(ledger().differences(written)).toEqual(['a', 'b'])
})

it('an_unfinished_acknowledgement_is_none', () => {
  const acknowledgement = { first: 400, count: 200, shardId: 'shardId-000000000001', sequenceNumber: '495' }
  const line = acknowledgementLine(acknowledgement)
  expect(parseAcknowledgements(line)).toEqual([acknowledgement])
  for (let cut = 0; cut < line.length; cut += 1) {
    expect(parseAcknowledgements(line + line.slice(0, cut))).toEqual([acknowledgement])
    expect(parseAcknowledgements(line.slice(0, cut))).toEqual([])
  }
})

it('a_check_that_does_not_hold_is_named_in_the_verdict', async () => {
  const stream = new PassThrough()
  const report = new Report(new Output(stream), { silent: false, color: false })
  await report.step('Count')
  await report.check('records', 3, 3)
  await report.check('records lost', 0, 1)
  await report.summary()
  stream.end()
  expect(report.failed).toMatchObject([{ step: 'Count', claim: 'records lost', ok: false }])
  expect(await text(stream)).toMatch(/1 of 2 checks failed, in .*\n {2}✗ Count: records lost: expected 0, got 1\n$/)
})

function ledger(...records: [key: string, data: string][]): Ledger {
  const made = new Ledger()
  for (const [key, data] of records) made.add(key, Buffer.from(data))
  return made
}
