/** Every client that does the story. */
import { join } from 'node:path'
import { root } from '../support.js'
import type { Client, Story } from './client.js'
import { firstFailure, install, type Missing } from './install.js'
import { AWS_CLI, BOTO3, pythonWith } from './python.js'

const here = join(root, 'test', 'clients')

const javascript: Client = {
  name: 'JavaScript',
  id: 'javascript',
  withTls: true,
  prepare: () => ({
    program: process.execPath,
    args: ['--import', 'tsx', join(here, 'javascript', 'story.ts')],
  }),
}

const boto3: Client = { name: 'boto3', id: 'boto3', withTls: true, prepare: () => python('boto3', BOTO3) }

/** A program a call takes its time: once is enough. */
const awsCli: Client = { name: 'AWS CLI', id: 'aws-cli', withTls: false, prepare: () => python('awscli', AWS_CLI) }

function python(name: 'boto3' | 'awscli', version: string): Story | Missing {
  const installed = pythonWith(name, version)
  if ('missing' in installed) return installed
  return { program: join(installed.folder, 'bin', 'python'), args: [join(here, 'python', 'story.py'), name] }
}

const go: Client = {
  name: 'Go',
  id: 'go',
  withTls: true,
  prepare() {
    // The toolchain that is there, and the modules that the lock file names: nothing newer is fetched.
    const options = { cwd: join(here, 'go'), env: { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly -buildvcs=false' } }
    const built = install('go', here, ['go/go.mod', 'go/go.sum', 'go/main.go', 'go/version.go'], (folder) =>
      firstFailure(
        ['Go is missing', 'go', ['version'], options],
        ['the AWS SDK for Go could not be built', 'go', ['build', '-o', join(folder, 'story'), '.'], options],
      ),
    )
    return 'missing' in built ? built : { program: join(built.folder, 'story'), args: [] }
  },
}

const java: Client = {
  name: 'Java',
  id: 'java',
  withTls: true,
  prepare() {
    const jars = install('java', here, ['java/pom.xml'], (folder) =>
      firstFailure(
        ['a JDK of version 17 or newer is missing', 'javac', ['-version']],
        ['Maven is missing', 'mvn', ['--version']],
        [
          'the AWS SDK for Java could not be resolved',
          'mvn',
          ['--quiet', '--batch-mode', 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`],
          { cwd: join(here, 'java') },
        ],
      ),
    )
    if ('missing' in jars) return jars
    const args = ['-cp', join(jars.folder, '*'), join(here, 'java', 'Story.java')]
    return { program: 'java', args, isJava: true }
  },
}

const rust: Client = {
  name: 'Rust',
  id: 'rust',
  withTls: true,
  prepare() {
    const sources = ['rust/Cargo.toml', 'rust/Cargo.lock', 'rust/src/main.rs']
    const built = install('rust', here, sources, (folder) => {
      const options = { cwd: join(here, 'rust'), env: { CARGO_TARGET_DIR: folder } }
      return firstFailure(
        ['cargo is missing', 'cargo', ['--version'], options],
        ['the AWS SDK for Rust could not be built', 'cargo', ['build', '--locked', '--quiet'], options],
      )
    })
    return 'missing' in built ? built : { program: join(built.folder, 'debug', 'millrace-client-story'), args: [] }
  },
}

/** In the order in which they run. */
export const clients: readonly Client[] = [javascript, boto3, awsCli, go, java, rust]
