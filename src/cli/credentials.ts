/** Reads access keys from a file in the form of `~/.aws/credentials`: the keys of all its profiles. */
import { readFileSync } from 'node:fs'
import type { ServeCredential } from '../index.js'
import { CommandFailure } from './exit.js'

/** The keys of a file; a profile without one is passed over. */
export function readCredentials(path: string): ServeCredential[] {
  const profiles = new Map<string, Record<string, string>>()
  let profile: Record<string, string> = {}
  for (const line of textOf(path).split(/\r?\n/)) {
    const section = /^\s*\[([^\]]+)\]/.exec(line)?.[1]
    if (section !== undefined) profiles.set(section, (profile = {}))
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) profile[name] = value
  }
  const credentials = [...profiles.values()].flatMap((entries) => {
    const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey } = entries
    if (accessKeyId === undefined || secretAccessKey === undefined) return []
    const sessionToken = entries['aws_session_token']
    return [{ accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }]
  })
  if (credentials.length > 0) return credentials
  throw new CommandFailure(
    'ERR_CREDENTIALS',
    `expected a profile with aws_access_key_id and aws_secret_access_key in ${path}, got none`,
  )
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CommandFailure('ERR_CREDENTIALS', `cannot read the credentials in ${path}: ${(error as Error).message}`)
  }
}
