/** Shards as text: the tree of what came from what, and what a change opens in whose place. */
import type { ShardDescription } from '../index.js'
import { bar, table } from './format.js'

const RANGE_CELLS = 24

/** One line a shard, a split's children below their shard, a merged one below its first parent. */
export function shardTree(shards: readonly ShardDescription[]): string {
  const rows = linesOf(shards).map(({ shard, prefix }) => [
    `${prefix}${shard.shardId}`,
    shard.status,
    ...rangeCells(shard),
    shard.adjacentParentShardId === undefined ? '' : `and ${shard.adjacentParentShardId}`,
  ])
  return table(['SHARD', 'STATUS', 'OF HASH KEYS', 'RANGE', ''], rows, ['left', 'left', 'right', 'left', 'left'])
}

/** One line an opened shard, with those whose hash keys it takes over. */
export function openedTable(opened: readonly ShardDescription[], before: readonly ShardDescription[]): string {
  const rows = opened.map((shard) => {
    const from = before.filter((old) => overlaps(old, shard)).map(({ shardId }) => shardId)
    return [shard.shardId, ...rangeCells(shard), from.join(', ')]
  })
  return table(['OPENS', 'OF HASH KEYS', 'RANGE', 'IN PLACE OF'], rows, ['left', 'right', 'left', 'left'])
}

/** Whether two shards have a hash key in common. */
export function overlaps(one: ShardDescription, other: ShardDescription): boolean {
  const [a, b] = [one.hashKeyRange, other.hashKeyRange]
  return BigInt(a.startingHashKey) <= BigInt(b.endingHashKey) && BigInt(b.startingHashKey) <= BigInt(a.endingHashKey)
}

interface Line {
  readonly shard: ShardDescription
  readonly prefix: string
}

/** The shards in the order of the tree, each below the parent that is listed; siblings in the order of their keys. */
function linesOf(shards: readonly ShardDescription[]): Line[] {
  const listed = new Set(shards.map(({ shardId }) => shardId))
  const parentOf = ({ parentShardId = '' }: ShardDescription): string =>
    listed.has(parentShardId) ? parentShardId : ''
  const below = (parent: string, indent: string): Line[] => {
    const siblings = shards.filter((shard) => parentOf(shard) === parent).toSorted((a, b) => startOf(a) - startOf(b))
    return siblings.flatMap((shard, index) => {
      const isLast = index === siblings.length - 1
      const [mark, space] = parent === '' ? ['', ''] : isLast ? ['└─ ', '   '] : ['├─ ', '│  ']
      return [{ shard, prefix: indent + mark }, ...below(shard.shardId, indent + space)]
    })
  }
  return below('', '')
}

/** A shard's share of the hash keys, and where it lies in them. */
function rangeCells(shard: ShardDescription): [share: string, range: string] {
  const start = startOf(shard)
  const end = partOf(BigInt(shard.hashKeyRange.endingHashKey) + 1n)
  const first = Math.round(start * RANGE_CELLS)
  const cells = Math.max(Math.round(end * RANGE_CELLS) - first, 1)
  return [`${((end - start) * 100).toFixed(1)} %`, `${'·'.repeat(first)}${bar(1, cells)}`.padEnd(RANGE_CELLS, '·')]
}

function startOf({ hashKeyRange }: ShardDescription): number {
  return partOf(BigInt(hashKeyRange.startingHashKey))
}

/** A hash key as a part of the whole space, from 0 to 1: its upper 53 bits are enough for a picture. */
function partOf(key: bigint): number {
  return Number(key >> 75n) / 2 ** 53
}
