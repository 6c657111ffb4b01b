/**
 * Starts a module of the bench in a worker thread. On Node 20 a worker does not inherit the loader of TypeScript, so it
 * is registered there before the module is loaded.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** Starts the module at `url` with `workerData`, and waits for its first message: it is ready then. */
export async function startWorker(url: string, workerData: unknown): Promise<Worker> {
  const bootstrap = `
    import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => {
      register()
      return import(${JSON.stringify(url)})
    })
  `
  const worker = new Worker(bootstrap, { eval: true, workerData })
  await once(worker, 'message')
  return worker
}
