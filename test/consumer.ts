/** A program that uses the package as an installed one: what the documents' code is compiled and run in. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { emptyFolder, root, run } from './support.js'

/** A folder that sees this checkout as its installed package, and the types of Node. */
export function consumer(): string {
  const folder = emptyFolder()
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules/millrace'))
  symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

/** Compiles `files` of `folder` under strict settings; they must have no error. */
export async function compile(folder: string, files: readonly string[]): Promise<void> {
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ['node'],
    rootDir: '.',
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  expect(await run(join(root, 'node_modules/.bin/tsc'), [], folder)).toEqual({ status: 0, output: '' })
}
