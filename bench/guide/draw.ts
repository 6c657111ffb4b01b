/** The kinds of pictures in the guide: who holds which part of the hash keys, and what changed over time. */
import * as Plot from '@observablehq/plot'
import { drawSvg } from '../charts/svg.js'
import { figure } from '../format.js'

/** The shards of a stream at a moment, as parts of the hash key space. */
export interface HashKeys {
  readonly kind: 'hash keys'
  readonly title: string
  /** The moments, from the top down. */
  readonly moments: readonly {
    readonly name: string
    readonly shards: readonly {
      readonly shardId: string
      /** Where the shard's keys begin and end, from 0 to 1. */
      readonly from: number
      readonly to: number
      /** Of all records that came, the share that this shard got, from 0 to 1. */
      readonly share: number
    }[]
  }[]
}

/** Figures over time. */
export interface Timeline {
  readonly kind: 'timeline'
  readonly title: string
  /** What the horizontal axis counts, such as `seconds`. */
  readonly x: string
  /** What the vertical axis counts, such as `records/s`. */
  readonly unit: string
  readonly series: readonly {
    readonly name: string
    /** Whether a value holds until the next, instead of being on the way to it. */
    readonly steps?: boolean
    readonly points: readonly (readonly [x: number, value: number])[]
  }[]
  /** What happened when. */
  readonly events: readonly { readonly x: number; readonly text: string }[]
}

/** What a picture is drawn from. */
export type Picture = HashKeys | Timeline

const MOMENT_HEIGHT = 74
const TIMELINE_HEIGHT = 320
const LABEL_HEIGHT = 18

/** The text of a picture's SVG file. */
export function draw(picture: Picture): string {
  return picture.kind === 'hash keys' ? drawHashKeys(picture) : drawTimeline(picture)
}

function drawHashKeys({ title, moments }: HashKeys): string {
  const parts = moments.flatMap(({ name, shards }) =>
    shards.map((shard) => ({
      ...shard,
      name,
      label: `${Number(shard.shardId.slice(-12))}: ${Math.round(shard.share * 100)} %`,
    })),
  )
  return drawSvg({
    title,
    height: 34 + moments.length * MOMENT_HEIGHT,
    plot: {
      marginLeft: 120,
      marginRight: 24,
      marginBottom: 34,
      x: { domain: [0, 1], label: null, ticks: [0, 0.25, 0.5, 0.75, 1], tickFormat: hashKey },
      y: { domain: moments.map(({ name }) => name), label: null, type: 'band', padding: 0.35, tickSize: 0 },
      color: {
        type: 'linear',
        domain: [0, Math.max(...parts.map(({ share }) => share))],
        range: ['#cfe3ff', '#ff8182'],
        interpolate: 'hcl',
      },
      marks: [
        Plot.rect(parts, { x1: 'from', x2: 'to', y: 'name', fill: 'share', inset: 1 }),
        Plot.text(parts, {
          x: ({ from, to }: (typeof parts)[number]) => (from + to) / 2,
          y: 'name',
          text: 'label',
          fill: '#1f2328',
        }),
      ],
    },
  })
}

function hashKey(at: number): string {
  if (at === 0) return '0'
  return at === 1 ? '2^128' : `${at} · 2^128`
}

function drawTimeline({ title, x, unit, series, events }: Timeline): string {
  const dots = series.flatMap(({ name, steps, points }) =>
    points.map(([at, value]) => ({ name, steps: steps === true, at, value })),
  )
  return drawSvg({
    title: `${title} (${unit})`,
    height: TIMELINE_HEIGHT,
    plot: {
      marginLeft: 70,
      marginRight: 210,
      marginBottom: 44,
      x: {
        domain: [0, Math.max(...dots.map(({ at }) => at))],
        label: x,
        labelAnchor: 'center',
        labelArrow: 'none',
        tickFormat: figure,
      },
      y: { zero: true, nice: true, label: null, tickFormat: figure, grid: true },
      color: { domain: series.map(({ name }) => name), scheme: 'Observable10' },
      marks: [
        ...[false, true].map((steps) =>
          Plot.line(
            dots.filter((dot) => dot.steps === steps),
            {
              x: 'at',
              y: 'value',
              stroke: 'name',
              strokeWidth: 2,
              curve: steps ? 'step-after' : 'linear',
            },
          ),
        ),
        Plot.ruleX(events, { x: 'x', strokeDasharray: '4,3', strokeOpacity: 0.7 }),
        Plot.text(events, { x: 'x', text: 'text', frameAnchor: 'top', textAnchor: 'start', dx: 6, dy: 4 }),
        ...series.map(({ name }, row) =>
          Plot.text([name], {
            text: (label: string) => `● ${label}`,
            fill: (label: string) => label,
            frameAnchor: 'top-right',
            textAnchor: 'start',
            dx: 12,
            dy: row * LABEL_HEIGHT,
          }),
        ),
      ],
    },
  })
}
