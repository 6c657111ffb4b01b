/**
 * The guide does what it says: each chapter's commands and programs run in their order, in one folder, as a reader
 * would run them, and print what stands below them.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { drawRecorded, readDrawn } from '../bench/guide/pictures.js'
import { compile, consumer } from './consumer.js'
import { root, run } from './support.js'

const folder = join(root, 'docs/guide')
/** Those of the guide, and the page of what is promised of consumers and queues, which has programs too. */
const chapters = [
  ...readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md'),
  '../consumers.md',
]

interface Block {
  readonly language: 'sh' | 'ts'
  readonly code: string
  /** What stands below it as its output. */
  readonly output: string | undefined
}

function blocksOf(chapter: string): Block[] {
  const text = readFileSync(join(folder, chapter), 'utf8')
  const fenced = /^```(sh|ts)\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm
  return [...text.matchAll(fenced)].map(([, language, code, output]) => ({
    language: language as Block['language'],
    code: code as string,
    output,
  }))
}

/** What two runs have in common: numbers differ, and with them their units, the width of columns and bars. */
function shapeOf(output: string): string[] {
  const shape = output
    .replaceAll(/[█▏▎▍▌▋▊▉░]+/g, '')
    .replaceAll(/"receipt":"[^"]*"/g, '"receipt":"0"')
    .replaceAll(/\d[\d,.]*/g, '0')
    .replaceAll(/0 (?:ms|s|min 0 s)\b/g, '0 s')
    .replaceAll(/0 (?:[KMG]iB|B)\b/g, '0 B')
    .replaceAll(/0(?: [kM])?\/s/g, '0/s')
  const lines = shape.split('\n').map((line) => line.replaceAll(/[─\s]+/g, ' ').trim())
  return lines.filter(Boolean)
}

/** A folder for the search path, with the program under its own name. */
function programFolder(home: string): string {
  const programs = join(home, 'node_modules/.bin')
  mkdirSync(programs, { recursive: true })
  const start = `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'dist/cli/main.js')}" "$@"\n`
  writeFileSync(join(programs, 'millrace'), start, { mode: 0o755 })
  return programs
}

describe('the guide', () => {
  test('its index names every chapter, and the README the guide', () => {
    const index = readFileSync(join(folder, 'README.md'), 'utf8')
    expect(chapters.filter((chapter) => !index.includes(`](${chapter})`))).toEqual([])
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('](docs/guide/README.md)')
  })

  test('its pictures are what the figures of their runs draw to', () => {
    expect([...readDrawn()].toSorted()).toEqual([...drawRecorded()].toSorted())
    const text = chapters.map((chapter) => readFileSync(join(folder, chapter), 'utf8')).join('')
    expect([...drawRecorded().keys()].filter((file) => !text.includes(`](pictures/${file})`))).toEqual([])
  })

  test.each(chapters)('%s runs and prints what it shows', { timeout: 180_000 }, async (chapter) => {
    const home = consumer()
    const blocks = blocksOf(chapter)
    expect(blocks.length).toBeGreaterThan(1)
    const programs = blocks.map(({ language }, index) => (language === 'ts' ? `example-${index}.ts` : undefined))
    for (const [index, { code }] of blocks.entries()) {
      const program = programs[index]
      if (program !== undefined) writeFileSync(join(home, program), code)
    }
    const named = programs.filter((program) => program !== undefined)
    if (named.length > 0) await compile(home, named)
    const env = { PATH: `${programFolder(home)}:${process.env['PATH']}`, MILLRACE_DATA: './data' }
    for (const [index, { language, code, output }] of blocks.entries()) {
      const done =
        language === 'ts'
          ? await run(process.execPath, [`example-${index}.js`], home, env)
          : await run('sh', ['-c', `set -eu\n${code}`], home, env)
      expect(done, `${chapter}:\n${code}\n${done.output}`).toMatchObject({ status: 0 })
      if (output !== undefined) expect(shapeOf(done.output), `${chapter}:\n${code}`).toEqual(shapeOf(output))
    }
  })
})
