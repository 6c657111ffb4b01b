/** `millrace serve` of this checkout as a server of the comparison: signatures verified, no limits. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ServerKind } from '../servers.js'
import { KEYS } from '../wire.js'

const PROGRAM = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

/** A server whose streams promise the page cache or the disk. */
export function serveKind(durability: 'os' | 'synced'): ServerKind {
  return {
    name: `millrace serve ${durability}`,
    command: async (directory, [port]) => {
      const credentials = join(directory, 'credentials')
      const { accessKeyId, secretAccessKey } = KEYS
      writeFileSync(
        credentials,
        `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
      )
      const options = ['--port', String(port), '--credentials', credentials, '--durability', durability]
      return {
        program: process.execPath,
        args: [PROGRAM, 'serve', ...options, '--limits', 'off', '--log', 'off'],
        env: { MILLRACE_DATA: join(directory, 'data') },
      }
    },
  }
}
