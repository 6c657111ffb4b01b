/**
 * `npm run lock`: completes package-lock.json after dependencies changed. Where a mirror of the registry does not carry
 * the binaries of other platforms, npm leaves those packages out of the lock file, and `npm ci` then refuses it on every
 * machine. Their versions stand in the manifests that name them, and their platforms in their names; the entries written
 * here have no checksum, so such a package is verified by its registry alone.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './shared.mjs'

/** The folder of the lock file, from the root: the root itself unless one is named. */
const path = join(root, process.argv[2] ?? '.', 'package-lock.json')
const lock = JSON.parse(readFileSync(path, 'utf8'))

const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const PROCESSORS = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']

/** The platform that a package's name tells, as npm's manifest fields. */
function platformOf(name) {
  const words = name.split(/[-/]/)
  const systems = SYSTEMS.filter((system) => words.includes(system))
  const processors = PROCESSORS.filter((processor) => words.includes(processor))
  const musl = words.some((word) => word.startsWith('musl'))
  const libc = !systems.includes('linux') || processors.includes('wasm32') ? [] : musl ? ['musl'] : ['glibc']
  const present = (list) => (list.length > 0 ? list : undefined)
  return { cpu: present(processors), libc: present(libc), os: present(systems) }
}

/** Whether Node would find `name` from the package at `from`. */
function isLocked(name, from) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
    if (lock.packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`] !== undefined) return true
    if (folder === '') return false
  }
}

let added = 0
for (const [from, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(name, from)) continue
    const version = /\d+\.\d+\.\d+\S*/.exec(range)?.[0]
    // An entry beside its parent's other packages, where npm itself would put it.
    const top = `node_modules/${name}`
    const place = lock.packages[top] === undefined ? top : `${from}/node_modules/${name}`
    const { cpu, libc, os } = platformOf(name)
    const dev = entry.dev === true ? true : undefined
    // In npm's own order, so that the next npm install changes nothing.
    lock.packages[place] = { version, cpu, dev, libc, optional: true, os }
    added += 1
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([left], [right]) => (left < right ? -1 : 1)))
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`lock: ${added} packages of other platforms added`)
