/**
 * `npm run pack`: builds, then lays out the main package and this platform's package under `packages/` (or the folder
 * that `--output` names) and packs both.
 * The published manifest differs from the checkout's: it names the platform packages as optional dependencies, which a
 * checkout must not ask a registry for, and carries no scripts. So `npm pack` in the root refuses.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, platformName } from './build.mjs'
import { checkCargo, ensureDependencies } from './setup.mjs'
import { asProgram, Refusal, root, run } from './shared.mjs'

const output = process.argv.includes('--output')
  ? process.argv[process.argv.indexOf('--output') + 1]
  : join(root, 'packages')
const platformFolder = 'native/node/npm'

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
async function packFolder(name, manifest, source) {
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

async function pack() {
  // npm runs "prepack" before both commands; only the plain one is refused.
  if (process.argv.includes('--refuse')) {
    if (process.env.npm_command !== 'pack') return
    throw new Refusal('pack: use "npm run pack", which packs the main package and this platform\'s package together.')
  }
  await checkCargo()
  await ensureDependencies()
  await build({ force: false })
  rmSync(output, { recursive: true, force: true })
  const binary = join(root, 'native/node')
  await packFolder('millrace', publishedManifest(), root)
  await packFolder(`millrace-${platformName}`, readManifest(`${platformFolder}/${platformName}`), binary)
}

await asProgram(pack)
