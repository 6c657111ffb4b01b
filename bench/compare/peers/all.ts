/** Every peer at every setting, in the order of the tables. */
import type { Peer } from '../peer.js'
import { filePeers } from './files.js'
import { jetStreamPeers } from './jetstream.js'
import { kafkaPeers } from './kafka.js'
import { kinesisPeers } from './kinesis.js'
import { levelPeers } from './level.js'
import { lmdbPeers } from './lmdb.js'
import { millracePeers } from './millrace.js'
import { redisPeers } from './redis.js'
import { sqlitePeers } from './sqlite.js'

/** Millrace is one of them. */
export const peers: readonly Peer[] = [
  ...millracePeers(),
  ...filePeers(),
  ...lmdbPeers(),
  ...sqlitePeers(),
  ...levelPeers(),
  ...redisPeers(),
  ...jetStreamPeers(),
  ...kafkaPeers(),
  ...kinesisPeers(),
]
