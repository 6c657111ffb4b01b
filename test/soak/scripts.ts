/**
 * Plain JavaScript of this folder, for threads and child processes: a loader that translates TypeScript would cost each
 * of them a third of a second and a thread of its own, which is more than what is watched here.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'

/** The package as it was built, for code that stands outside of it. */
export const ENTRY = import.meta.resolve('millrace')

/** Translates this folder into `target`; returns the URL of a file there by its name. */
export function translate(target: string): (name: string) => URL {
  const here = import.meta.dirname
  for (const path of readdirSync(here, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts')) continue
    const output = join(target, path.replace(/\.ts$/, '.js'))
    mkdirSync(join(output, '..'), { recursive: true })
    writeFileSync(
      output,
      ts.transpileModule(readFileSync(join(here, path), 'utf8'), { compilerOptions: OPTIONS }).outputText,
    )
  }
  writeFileSync(join(target, 'package.json'), '{ "type": "module" }\n')
  return (name) => pathToFileURL(join(target, name))
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ES2022,
  verbatimModuleSyntax: true,
}
