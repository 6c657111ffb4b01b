/**
 * Makes a fresh checkout ready: checks Node and cargo, installs the locked dependencies, builds what changed.
 * `npm test`, `npm run demo` and `npm run bench` call it first, so that one command is enough on a new machine.
 */
import { build } from './build.mjs'
import { checkCargo, checkNode, ensureDependencies } from './machine.mjs'
import { asProgram, secondsSince } from './shared.mjs'

await asProgram(async () => {
  const started = performance.now()
  checkNode()
  await checkCargo()
  await ensureDependencies()
  await build({ force: false })
  console.log(`setup: ready in ${secondsSince(started)}`)
})
