/**
 * Packing. `npm run pack` lays out the main package and this platform's package under `packages/` (or the folder that
 * `--output` names) and packs both. Plain `npm pack` gives the same two tarballs in the current folder: its `prepack`
 * packs the platform's and puts the published manifest in place of the checkout's, its `postpack` puts that back.
 *
 * The two manifests differ: the published one names the platform packages as optional dependencies, which a checkout
 * must not ask a registry for, and carries no scripts.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { build, platformName } from './build.mjs'
import { checkCargo, ensureDependencies } from './machine.mjs'
import { asProgram, Refusal, root, run } from './shared.mjs'

const output = process.argv.includes('--output')
  ? process.argv[process.argv.indexOf('--output') + 1]
  : join(root, 'packages')
const platformFolder = 'native/node/npm'
/** Where the checkout's manifest is while npm packs. */
const setAside = join(root, 'package.json.checkout')

function readManifest(path) {
  return JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'))
}

/** What the main package's manifest says once published. */
function publishedManifest() {
  const { scripts: _scripts, devDependencies: _dev, overrides: _overrides, ...manifest } = readManifest('.')
  const platforms = readdirSync(join(root, platformFolder)).map((folder) => readManifest(`${platformFolder}/${folder}`))
  const stale = platforms.find((platform) => platform.version !== manifest.version)
  if (stale !== undefined) {
    throw new Refusal(
      `pack: ${stale.name} has version ${stale.version}, millrace has ${manifest.version}; make them equal.`,
    )
  }
  return {
    ...manifest,
    optionalDependencies: Object.fromEntries(platforms.map(({ name, version }) => [name, version])),
  }
}

/** Copies the files that a manifest names into a folder of their own and packs that folder. */
async function packFolder(output, name, manifest, source) {
  const folder = join(output, name)
  for (const file of [...manifest.files, 'LICENSE', 'README.md']) {
    const from = file === 'LICENSE' || file === 'README.md' ? join(root, file) : join(source, file)
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    cpSync(from, join(folder, file), { recursive: true })
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  const { status } = await run('npm', ['pack', '--pack-destination', output, '--loglevel', 'error'], { cwd: folder })
  if (status !== 0) throw new Refusal(`pack: npm pack failed for ${manifest.name}; its output stands above.`)
}

/** Builds what the tarballs hold. */
async function prepare() {
  await checkCargo()
  await ensureDependencies()
  await build({ force: false })
}

async function packPlatform(output) {
  const manifest = readManifest(`${platformFolder}/${platformName}`)
  await packFolder(output, `millrace-${platformName}`, manifest, join(root, 'native/node'))
}

/** `npm run pack` */
async function packBoth() {
  await prepare()
  rmSync(output, { recursive: true, force: true })
  await packFolder(output, 'millrace', publishedManifest(), root)
  await packPlatform(output)
}

/** Before npm packs the checkout: the platform's tarball, and the published manifest. */
async function prepack() {
  await prepare()
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-pack-'))
  await packPlatform(scratch)
  const tarball = readdirSync(scratch).find((name) => name.endsWith('.tgz'))
  // Where npm puts the main tarball, this one goes too.
  const destination = resolve(process.env.INIT_CWD ?? root, process.env.npm_config_pack_destination ?? '.')
  cpSync(join(scratch, tarball), join(destination, tarball))
  rmSync(scratch, { recursive: true })
  console.error(`pack: this platform's package is ${tarball}`)
  const manifest = publishedManifest()
  renameSync(join(root, 'package.json'), setAside)
  writeFileSync(join(root, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

/** After npm packed the checkout, or at the next try after it failed to. */
function postpack() {
  if (existsSync(setAside)) renameSync(setAside, join(root, 'package.json'))
}

const steps = { '--prepack': prepack, '--postpack': postpack }
postpack()
await asProgram(steps[process.argv[2]] ?? packBoth)
