/**
 * Starts a module of the bench in a worker thread. On Node 20 a worker does not inherit the loader of TypeScript, nor
 * the one that `redirect.mjs` registers, so both are registered there before the module is loaded.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** Starts the module at `url` with `workerData`, and waits for its first message: it is ready then. */
export async function startWorker(url: string, workerData: unknown): Promise<Worker> {
  const redirected = process.env['MILLRACE_BENCH_ENGINE'] !== undefined
  const redirect = redirected ? `await import(${JSON.stringify(new URL('redirect.mjs', import.meta.url).href)})` : ''
  const bootstrap = `(async () => {
    ${redirect}
    const { register } = await import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))})
    register()
    await import(${JSON.stringify(url)})
  })()`
  const worker = new Worker(bootstrap, { eval: true, workerData })
  await once(worker, 'message')
  return worker
}
