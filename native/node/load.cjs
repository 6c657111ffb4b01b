'use strict'
/**
 * Finds the compiled engine: first the file that `npm run build` leaves beside this one, then the package of this
 * platform, which npm installs as an optional dependency of millrace. ES modules and CommonJS both load it from here
 * (through `index.cjs`, which the build generates), so that one process has one engine even when it holds two copies of
 * the JavaScript.
 */

/** The C library that this Node is linked with. */
function libc() {
  if (process.platform !== 'linux') return 'none'
  process.report.excludeNetwork = true
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/** Loads the first candidate that exists; any other failure (a wrong C library, say) is kept for the message. */
function load() {
  const name = `${process.platform}-${process.arch}-gnu`
  const packageName = `@millrace/${name}`
  const failures = []
  for (const candidate of [`./millrace.${name}.node`, packageName]) {
    try {
      return require(candidate)
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') failures.push(error)
    }
  }
  const remedy =
    process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch) && libc() === 'glibc'
      ? `Install it with "npm install ${packageName}" (a lock file made on another platform, or --omit=optional, leaves it out), or run "npm run build" in a checkout.`
      : 'Millrace has binaries for Linux on x64 and arm64 with glibc.'
  const error = new Error(
    `Millrace found no compiled engine for platform ${process.platform}, architecture ${process.arch}, libc ${libc()}. ${remedy}` +
      failures.map((failure) => ` Loading failed with: ${failure.message}`).join(''),
    { cause: failures[0] },
  )
  error.code = 'ERR_MILLRACE_UNSUPPORTED'
  throw error
}

module.exports = load()
