/**
 * Makes `import 'millrace'` mean the build that MILLRACE_BENCH_ENGINE names, in the process that preloads this and in
 * its threads, so that the same contests measure two revisions of the engine. Plain JavaScript, because it is loaded
 * before the loader of TypeScript.
 */
import { register } from 'node:module'

const engine = process.env['MILLRACE_BENCH_ENGINE']
if (engine === undefined) throw new Error('expected MILLRACE_BENCH_ENGINE to name the built module of an engine')

const hooks = `export function resolve(specifier, context, next) {
  return specifier === 'millrace' ? { url: ${JSON.stringify(engine)}, shortCircuit: true } : next(specifier, context)
}`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
