// Lines over sizes as an SVG that reads well on a light and on a dark page.

/** Values of several contenders at the same sizes. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly x: readonly number[];
  /** Ours first. */
  readonly lines: readonly { readonly who: string; readonly values: readonly number[] }[];
}

const [WIDTH, HEIGHT] = [640, 320];
const PLOT = { left: 64, right: 16, top: 64, bottom: 40 };
const COLORS = ['#0969da', '#bc4c00', '#1a7f37'];
const DASHES = ['', '6 4', '2 3'];
/** Beyond this, the smaller values would lie on the axis. */
const LOG_FROM = 20;

/** Draws a chart; both axes are logarithmic where the values need it. */
export function chartSvg({ title, unit, x, lines }: Chart): string {
  const values = lines.flatMap((line) => line.values);
  const isLog = Math.max(...values) > LOG_FROM * Math.min(...values);
  const ticks = isLog ? decades(values) : steps(Math.max(...values));
  const place = (low: number, high: number, from: number, to: number, log: boolean) => {
    const scale = log ? Math.log10 : (value: number) => value;
    return (value: number) =>
      round(from + ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (to - from));
  };
  const [low = 0, high = 1] = [ticks[0], ticks.at(-1)];
  const [first = 1, last = 10] = [x[0], x.at(-1)];
  const atX = place(first, last, PLOT.left + 16, WIDTH - PLOT.right - 16, true);
  const atY = place(low, high, HEIGHT - PLOT.bottom, PLOT.top, isLog);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${title}" font-family="system-ui,sans-serif" font-size="12">`,
    '<style>text{fill:#1f2328}.grid{stroke:#d1d9e0}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}}</style>',
    `<text x="${PLOT.left}" y="20" font-size="14" font-weight="600">${title}, ${unit}</text>`,
    ...lines.map(({ who }, index) => {
      const left = PLOT.left + index * 180;
      return `<path d="M${left} 40h24" ${stroke(index)}/><text x="${left + 30}" y="44">${who}</text>`;
    }),
    ...ticks.map(
      (tick) =>
        `<path class="grid" d="M${PLOT.left} ${atY(tick)}H${WIDTH - PLOT.right}"/><text x="${PLOT.left - 8}" y="${atY(tick) + 4}" text-anchor="end">${tick.toLocaleString('en')}</text>`,
    ),
    ...x.map(
      (size) =>
        `<text x="${atX(size)}" y="${HEIGHT - PLOT.bottom + 20}" text-anchor="middle">${size.toLocaleString('en')}</text>`,
    ),
    ...lines.map(({ values }, index) => {
      const points = values.map((value, at) => `${atX(x[at] ?? first)} ${atY(value)}`);
      return `<path d="M${points.join('L')}" ${stroke(index)}/>`;
    }),
    '</svg>',
  ].join('\n')}\n`;
}

function stroke(index: number): string {
  return `fill="none" stroke="${COLORS[index]}" stroke-width="2" stroke-dasharray="${DASHES[index]}"`;
}

/** The powers of ten around the values. */
function decades(values: readonly number[]): number[] {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: to - from + 1 }, (_, index) => Number(`1e${from + index}`));
}

/** Four or five round steps from nothing to above the highest value. */
function steps(highest: number): number[] {
  const power = 10 ** Math.floor(Math.log10(highest));
  const step = [0.2, 0.25, 0.5, 1, 2]
    .map((part) => part * power)
    .find((each) => highest <= 5 * each);
  const size = step ?? power;
  return Array.from({ length: Math.ceil(highest / size) + 1 }, (_, index) =>
    Number((index * size).toPrecision(6)),
  );
}

function round(value: number): number {
  return Number(value.toFixed(1));
}
