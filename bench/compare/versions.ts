/** Which version of a peer takes part: clients are pinned by this folder's manifest, servers say it themselves. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { javaVersion, natsServer, redisServer } from './acquire.js'
import type { Command } from './servers.js'

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** The version of a product and of its client, as text; empty where the product is not there to be asked. */
export function versionOf(product: string): string {
  try {
    return versions[product]?.() ?? ''
  } catch {
    return ''
  }
}

const versions: Readonly<Record<string, () => string>> = {
  millrace: () => `millrace ${manifest('../../package.json').version}`,
  fs: () => `Node.js ${process.version}`,
  lmdb: () => npm('lmdb'),
  sqlite: () => npm('better-sqlite3'),
  level: () => npm('classic-level'),
  redis: () => `${npm('ioredis')}, redis-server ${ask(redisServer(), /v=([\d.]+)/)}`,
  nats: () => `${npm('@nats-io/jetstream')}, nats-server ${ask(natsServer(), /v([\d.]+)/)}`,
  'kafka-kafkajs': () => `${npm('kafkajs')}, Kafka ${javaVersion('kafka')}`,
  'kafka-librdkafka': () => `${npm('@confluentinc/kafka-javascript')}, Kafka ${javaVersion('kafka')}`,
  kinesalite: () => `${npm('@aws-sdk/client-kinesis')}, ${npm('kinesalite')}`,
  'kinesis-local': () => `${npm('@aws-sdk/client-kinesis')}, ${npm('kinesis-local')}`,
  chronicle: () => `Chronicle Queue ${javaVersion('chronicle')}`,
}

function npm(name: string): string {
  const { dependencies, optionalDependencies } = manifest('package.json')
  return `${name} ${dependencies?.[name] ?? optionalDependencies?.[name]}`
}

function manifest(path: string): Manifest {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Manifest
}

function ask({ program, env }: Command, version: RegExp): string {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } })
  return version.exec(stdout)?.[1] ?? ''
}
