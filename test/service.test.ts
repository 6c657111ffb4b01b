/** `docs/operations.md` says how the server runs as a service: its unit and its configuration are what runs here. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProgram } from './program.js'
import { emptyFolder, root } from './support.js'

/** The block of the page's last section in this language. */
function block(language: string): string {
  const section = readFileSync(join(root, 'docs/operations.md'), 'utf8').split('\n## As a service\n')[1] ?? ''
  return section.split(`\n\`\`\`${language}\n`)[1]?.split('\n```')[0] ?? ''
}

test('the unit starts a server that tells of its health and ends when it is told to', async () => {
  const folder = emptyFolder()
  const config = { ...(JSON.parse(block('json')) as object), port: 0 }
  writeFileSync(join(folder, 'serve.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'credentials'), '[default]\naws_access_key_id = AKID\naws_secret_access_key = s\n')
  const command = /^ExecStart=\/usr\/bin\/millrace (.*)$/m.exec(block('ini'))?.[1] ?? ''
  const here = command.replaceAll('/etc/millrace', folder).replace('/var/lib/millrace', join(folder, 'store'))
  const server = startProgram(join(folder, 'unused'), here.split(' '))
  onTestFinished(() => server.kill('SIGKILL'))
  await server.heard('\n')
  const url = /http:\S+/.exec(server.output())?.[0] ?? ''
  const health = await fetch(`${url}/health`)
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }])
  const unsigned = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.ListStreams' },
    body: '{}',
  })
  expect(await unsigned.json()).toMatchObject({ __type: 'MissingAuthenticationTokenException' })
  server.kill('SIGTERM')
  expect(await server.ended).toBe(143)
})

const analyze = spawnSync('systemd-analyze', ['--version'])
const missing = analyze.status === 0 ? '' : ' (skipped: systemd-analyze is not there)'

test.skipIf(missing !== '')(`systemd understands the unit${missing}`, () => {
  const unit = join(emptyFolder(), 'millrace.service')
  // The program is not installed here.
  writeFileSync(unit, block('ini').replace('/usr/bin/millrace', process.execPath))
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})
