/** Damage in words, for `verify` and `repair`. */
import type { Damage } from '../index.js'
import { count, plural } from './format.js'

const SHARDS_SHOWN = 4

const MEANING: Record<Exclude<Damage['kind'], 'other'>, string> = {
  damaged: 'acknowledged records are damaged or missing',
  cut: 'the log ends before these records, which may have been acknowledged; opening the store cuts them',
  shards: 'a change of the shard map is damaged',
  header: "the segment's header or opening is damaged",
  index: "the segment's index is damaged",
}

/** Each damage as a paragraph of its own. */
export function describeDamages(damages: readonly Damage[]): string {
  return damages.map(describeDamage).join('\n\n')
}

function describeDamage(damage: Damage): string {
  const { stream, kind, segment, offset, endOffset, sequenceNumbers: numbers } = damage
  if (kind === 'other') return `${stream}\n  ${damage.message}`
  const place = offset === endOffset ? [] : [`bytes ${count(offset)} to ${count(endOffset)}`]
  const lines = [[stream, segment, ...place].join(', '), `  ${meaning(damage)}`]
  if (damage.records > 0) lines.push(`  at most ${plural(damage.records, 'record')} of ${shards(damage)}`)
  else if (kind === 'shards' || kind === 'header' || kind === 'index') lines.push('  no record is lost')
  if (numbers !== undefined)
    lines.push(`  sequence numbers from ${numbers.first}`, `                before ${numbers.next}`)
  return lines.join('\n')
}

function meaning({ stream, kind }: Damage): string {
  if (stream === 'control log' && kind === 'damaged') return 'commands are damaged or missing'
  return MEANING[kind as keyof typeof MEANING]
}

function shards({ shardIds }: Damage): string {
  if (shardIds === 'any') return 'any shard'
  const more = shardIds.length - SHARDS_SHOWN
  const shown = shardIds.slice(0, SHARDS_SHOWN).join(', ')
  return more > 0 ? `${shown} and ${count(more)} more` : shown
}
