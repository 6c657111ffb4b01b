/** The table of clients in `docs/compatibility.md`, held against the reports of their runs (`clients.test.ts`). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { clients } from './clients/all.js'
import { loadCompared, loadReports } from './clients/report.js'
import { renderInto } from './clients/table.js'
import { root } from './support.js'

const PAGE = join(root, 'docs', 'compatibility.md')

test('every client has a report, in the form that the table is made from', () => {
  const reports = loadReports()
  expect(reports.map(({ client }) => client).toSorted()).toEqual(clients.map(({ name }) => name).toSorted())
  for (const report of reports) {
    expect(report).toEqual({
      client: expect.any(String),
      version: expect.stringMatching(/^v?\d+\.\d+\.\d+$/),
      operations: expect.any(Object),
      errors: expect.arrayContaining(['ResourceNotFoundException', 'ProvisionedThroughputExceededException']),
      cannot: expect.any(Object),
    })
    for (const [operation, protocols] of Object.entries(report.operations)) {
      expect(protocols, operation).not.toEqual([])
      expect(protocols.filter((protocol) => !/^(JSON|CBOR), HTTP\/(1\.1|2)(, TLS)?$/.test(protocol))).toEqual([])
    }
  }
})

test('the page is what the reports render to', async () => {
  await expect(renderInto(readFileSync(PAGE, 'utf8'), loadReports(), loadCompared())).toMatchFileSnapshot(PAGE)
})
