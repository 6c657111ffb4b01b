/** The demo holds all of its checks, leaves nothing behind, and says so when a check does not hold. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Ledger } from '../src/cli/demo/ledger.js'
import { acknowledgementLine, parseAcknowledgements } from '../src/cli/demo/witness.js'

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const CHECKS = 13

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

function ledger(...records: [key: string, data: string][]): Ledger {
  const made = new Ledger()
  for (const [key, data] of records) made.add(key, Buffer.from(data))
  return made
}
