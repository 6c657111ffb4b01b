/**
 * Recipes: pages of `docs/recipes` whose files and commands are run as they stand there. A fenced block that names a file
 * (` ```java Job.java `) is that file; the commands of `sh install` are run once, those of `sh run` by the page's test.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support.js'
import { firstFailure, install, type Missing, type Step } from './install.js'

/** The folder of the recipes. */
export const RECIPES = join(root, 'docs', 'recipes')

/** A recipe whose files are in their folder. */
export interface Recipe {
  readonly folder: string
  /** Its commands that run, for a shell, in their order. */
  readonly runs: readonly string[]
}

/**
 * Puts the files of a page in a folder and runs its installation, unless that was done; `needs` are looked for first. A test
 * that needs the recipe of another test has it in a folder `apart`: two that install one at once would be in each other's way.
 */
export function recipe(name: string, needs: readonly Step[], apart = ''): Recipe | Missing {
  const page = `${name}.md`
  const blocks = blocksOf(readFileSync(join(RECIPES, page), 'utf8'))
  const installed = install(`recipe-${name}${apart}`, RECIPES, [page], (folder) => {
    for (const { kind, code } of blocks) if (kind.includes('.')) writeFileSync(join(folder, kind), code)
    const steps = codeOf(blocks, 'install').map((code): Step => [
      `${page} could not be installed`,
      'sh',
      ['-ec', code],
      { cwd: folder },
    ])
    return firstFailure(...needs, ...steps)
  })
  return 'missing' in installed ? installed : { folder: installed.folder, runs: codeOf(blocks, 'run') }
}

/** A fenced block: the name of its file, or `install` or `run`. */
interface Block {
  readonly kind: string
  readonly code: string
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```$/gm)].map(([, kind = '', code = '']) => ({ kind, code }))
}

function codeOf(blocks: readonly Block[], kind: string): string[] {
  return blocks.filter((block) => block.kind === kind).map(({ code }) => code)
}

/** What every recipe in Java needs. */
export const JAVA: readonly Step[] = [
  ['a JDK of version 17 or newer is missing', 'javac', ['-version']],
  ['Maven is missing', 'mvn', ['--version']],
]
