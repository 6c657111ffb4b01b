/**
 * The house order: what a reviewer would otherwise have to look for by hand in every change. Each test names the rule;
 * each failure lists the places.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readRendered, render } from '../bench/render.js'
import { loadResults } from '../bench/results.js'
import { ERROR_CODES } from '../src/errors.js'

const root = join(import.meta.dirname, '..')
const FILE_LINES_MAX = 500

/** Installed, built or generated: not ours to keep in order. */
const FOREIGN = new Set([
  '.git',
  'node_modules',
  'target',
  'dist',
  'dist-cjs',
  'packages',
  'coverage',
  'docs/api',
  'bench/compare/.data',
  'bench/compare/.peers',
  'bench/results',
  'native/node/index.cjs',
  'native/node/index.d.cts',
  'package-lock.json',
  'Cargo.lock',
])

/** The only Rust files with `unsafe`: memory maps, system calls, and the boundaries to C and Node. */
const UNSAFE_ALLOWED = [/^crates\/millrace\/src\/(disk|map|shard\/hash\/wide)\.rs$/, /^native\/(node|limits)\/src\//]

interface SourceFile {
  readonly path: string
  readonly lines: readonly string[]
}

function list(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = folder === '' ? name : `${folder}/${name}`
    if (FOREIGN.has(path) || FOREIGN.has(name)) return []
    return statSync(join(root, path)).isDirectory() ? list(path) : [path]
  })
}

const TEXT = /\.(rs|ts|mts|cts|mjs|cjs|js|json|md|toml|yml)$|^\.[a-z]+(rc|config|ignore)?$|\.ci\/run$/

const files: readonly SourceFile[] = list('')
  .filter((path) => TEXT.test(path))
  .map((path) => ({ path, lines: readFileSync(join(root, path), 'utf8').split('\n') }))

const under = (folder: string, extension: string) =>
  files.filter(({ path }) => path.startsWith(`${folder}/`) && path.endsWith(extension))

/** `path:line: text` for every line of the given files that `broken` objects to. */
function breaches(among: readonly SourceFile[], broken: (line: string, file: SourceFile, index: number) => boolean) {
  return among.flatMap((file) =>
    file.lines.flatMap((line, index) =>
      broken(line, file, index) ? [`${file.path}:${index + 1}: ${line.trim()}`] : [],
    ),
  )
}

function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** What a line of TypeScript imports or exports from, if it names a module. */
function importedBy(line: string): string | undefined {
  return /(?:\bfrom|^import|\bimport\(|\brequire\()\s*['"]([^'"]+)['"]/.exec(line)?.[1]
}

describe('imports point one way', () => {
  test('the engine knows nothing of Node', () => {
    const engine = [...under('crates/millrace', '.rs'), ...under('crates/millrace', 'Cargo.toml')]
    expect(engine.length).toBeGreaterThan(5)
    expect(breaches(engine, (line) => /\b(napi|napi_derive|neon|node_api)\b/.test(line))).toEqual([])
  })

  test('only binding.ts imports the native module', () => {
    const others = [...under('src', '.ts'), ...under('test', '.ts')].filter(({ path }) => path !== 'src/binding.ts')
    expect(breaches(others, (line) => /native\/node|\.node$/.test(importedBy(line) ?? ''))).toEqual([])
    expect(textOf('src/binding.ts')).toContain("'../native/node/index.cjs'")
  })

  test('the command line uses the public API alone, and nothing of the API uses the command line', () => {
    const cli = breaches(under('src/cli', '.ts'), (line, { path }) => {
      const target = importedBy(line)
      if (target?.startsWith('.') !== true) return false
      const resolved = join(dirname(path), target)
      return resolved !== 'src/index.js' && !resolved.startsWith('src/cli/')
    })
    const api = under('src', '.ts').filter(({ path }) => !path.startsWith('src/cli/'))
    expect([...cli, ...breaches(api, (line) => importedBy(line)?.startsWith('./cli/') === true)]).toEqual([])
  })
})

describe('one table of error codes', () => {
  /** Raised before the engine is asked, so that the engine has no kind for them. */
  const ONLY_JAVASCRIPT = new Set(['ERR_MILLRACE_BACKPRESSURE', 'ERR_MILLRACE_ABORTED'])

  test('Rust and TypeScript have the same codes', () => {
    const source = textOf('crates/millrace/src/error.rs')
    const rust = [...source.matchAll(/=> "(ERR_MILLRACE_[A-Z_]+)"/g)].map(([, code]) => code)
    expect(ERROR_CODES.filter((code) => !ONLY_JAVASCRIPT.has(code))).toEqual(rust)
  })

  test('docs/errors.md documents each of them once', () => {
    const documented = [...textOf('docs/errors.md').matchAll(/^\| `(ERR_MILLRACE_[A-Z_]+)`/gm)].map(([, code]) => code)
    expect(documented.toSorted()).toEqual([...ERROR_CODES].toSorted())
  })

  test('no code is used that is not in the table', () => {
    const known = new Set<string>(ERROR_CODES)
    const unknown = (line: string) =>
      [...line.matchAll(/ERR_MILLRACE_[A-Z]+(?:_[A-Z]+)*/g)].some(([code]) => !known.has(code))
    const named = files.filter(({ path }) => path !== 'test/tidy.test.ts')
    expect(breaches(named, unknown)).toEqual([])
  })
})

describe('documents', () => {
  test('relative links resolve', () => {
    const dead = files
      .filter(({ path }) => path.endsWith('.md'))
      .flatMap((file) =>
        file.lines.flatMap((line) =>
          [...line.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)]
            .filter(([, target]) => !existsSync(join(root, dirname(file.path), target ?? '')))
            .map(([, target]) => `${file.path} → ${target}`),
        ),
      )
    expect(dead).toEqual([])
  })

  test('no path or address of one machine stands in a file', () => {
    const machine =
      /(?:^|[\s"'`(=:])\/(?:root|home|work|Users)\/|https?:\/\/(?:localhost|(?:10|192\.168)\.)[^\s]*\/(?:npm|simple)/
    expect(breaches(files, (line, { path }) => path !== 'test/tidy.test.ts' && machine.test(line))).toEqual([])
  })

  test('docs/performance.md and its charts are what the results of the bench render to', () => {
    const { page, charts } = readRendered()
    const rendered = render(page, loadResults())
    expect(rendered.page).toBe(page)
    expect([...charts].toSorted()).toEqual([...rendered.charts].toSorted())
  })

  test('no lock file names a registry', () => {
    const locks = ['package-lock.json', 'bench/compare/package-lock.json']
    expect(locks.filter((lock) => textOf(lock).includes('"resolved"'))).toEqual([])
  })
})

describe('source files', () => {
  test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
    // The page of figures is rendered, as long as there are figures.
    const generated = /^(LICENSE|bench\/results\/.*|docs\/performance\.md)$/
    const written = files.filter(({ path }) => !generated.test(path))
    const long = written.filter(({ lines }) => lines.length > FILE_LINES_MAX)
    expect(long.map(({ path, lines }) => `${path}: ${lines.length} lines`)).toEqual([])
  })

  test('every Rust file is a module of its crate', () => {
    const rust = files.filter(({ path }) => /\/src\/.*\.rs$/.test(path) && !/\/(lib|main)\.rs$/.test(path))
    const orphans = rust.filter(({ path }) => !parentsOf(path).some((parent) => declares(parent, path)))
    expect(orphans.map(({ path }) => path)).toEqual([])
  })

  test('unsafe stands only in the files that are allowed it', () => {
    const others = files.filter(({ path }) => path.endsWith('.rs') && !UNSAFE_ALLOWED.some((rule) => rule.test(path)))
    expect(breaches(others, (line) => isUnsafe(line))).toEqual([])
  })

  test('no method of a native class borrows it exclusively, which a thread that ended could forbid for ever', () => {
    const exclusive = /#\[napi(?:\([^\]]*\))?\]\s*pub fn \w+\(\s*&mut self/
    const native = files.filter(({ path }) => path.startsWith('native/node/src/'))
    expect(native.filter(({ path }) => exclusive.test(textOf(path))).map(({ path }) => path)).toEqual([])
  })

  test('every unsafe block and impl says why it is sound', () => {
    const rust = files.filter(({ path }) => path.endsWith('.rs'))
    expect(breaches(rust, (line, { lines }, index) => isUnsafe(line) && !hasSafetyComment(lines, index))).toEqual([])
  })

  test('no test is singled out and no code is left to do', () => {
    const left = /\b(?:describe|it|test)\.only\b|\b(?:todo|unimplemented|dbg)!\(|\bFIXME\b/
    expect(breaches(files, (line, { path }) => path !== 'test/tidy.test.ts' && left.test(line))).toEqual([])
  })
})

describe('versions', () => {
  test('the crates, the main package and the platform packages have one version', () => {
    const { version } = JSON.parse(textOf('package.json')) as { version: string }
    const platforms = readdirSync(join(root, 'native/node/npm'))
    const manifests = ['native/node/package.json', ...platforms.map((name) => `native/node/npm/${name}/package.json`)]
    const versions = manifests.map((path) => (JSON.parse(textOf(path)) as { version: string }).version)
    versions.push(/^version = "([^"]+)"/m.exec(textOf('Cargo.toml'))?.[1] ?? 'none')
    expect(new Set(versions)).toEqual(new Set([version]))
  })
})

/** The files that can declare the module in `path`. */
function parentsOf(path: string): string[] {
  const folder = basename(path) === 'mod.rs' ? dirname(dirname(path)) : dirname(path)
  return [`${folder}/mod.rs`, `${folder}/lib.rs`, `${folder}/main.rs`, `${folder}.rs`].filter(
    (parent) => parent !== path,
  )
}

function declares(parent: string, path: string): boolean {
  const name = basename(path) === 'mod.rs' ? basename(dirname(path)) : basename(path, '.rs')
  return (
    existsSync(join(root, parent)) && new RegExp(`^\\s*(pub(\\([a-z]+\\))? )?mod ${name};`, 'm').test(textOf(parent))
  )
}

function isUnsafe(line: string): boolean {
  return /\bunsafe\s*(\{|impl\b)/.test(line.replace(/\/\/.*$/, ''))
}

/** A SAFETY comment stands on the line or in the comment above the statement that the line belongs to. */
function hasSafetyComment(lines: readonly string[], index: number): boolean {
  const above = lines.slice(Math.max(0, index - 8), index + 1)
  return above.some((line) => line.includes('// SAFETY:'))
}
