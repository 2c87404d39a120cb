// What 1, 10, 100 and 1,000 idle children cost their host, and how that grows: measured once for all rows.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Scale } from '../hosts/scale.ts';
import { type Figure, interleave, type Measurement, median, type Row, times } from '../row.ts';

const SIZES = [1, 10, 100, 1000] as const;
const ROUNDS = 3;
const WAYS = ['supervised', 'execa', 'bare'] as const;
const NAMES = { supervised: 'supervised', execa: 'execa', bare: 'child_process.spawn' } as const;
const HOST = fileURLToPath(new URL('../hosts/scale.ts', import.meta.url));

type Way = (typeof WAYS)[number];
type Medians = Readonly<Record<Way, readonly Scale[]>>;

const run = promisify(execFile);
let measured: Promise<Medians> | undefined;

export const spawnRate = scaleRow({
  name: 'starting 1 to 1,000 children at once',
  target: '1,000: ≥ 0.7 × execa',
  figure: 'spawnsPerSecond',
  unit: 'children/s',
  judge({ supervised, execa }) {
    const ratio = last(supervised) / last(execa);
    return { ratio: `${times(ratio)} execa`, ok: ratio >= 0.7 };
  },
});

export const heap = scaleRow({
  name: 'memory of the host per child, of 1 to 1,000',
  target: '1,000: no more each than 10, ± 5 %',
  figure: 'heapBytesEach',
  unit: 'KB',
  per: 1024,
  judge({ supervised }) {
    const ratio = last(supervised) / (supervised[1] ?? Number.NaN);
    return { ratio: `${times(ratio)} that of 10`, ok: ratio <= 1.05 };
  },
});

export const sweep = scaleRow({
  name: 'sweep with 1 to 1,000 children',
  target: '≤ 1.5 × that of a supervisor with none on the same machine',
  figure: 'sweepMs',
  unit: 'ms',
  // The peers' hosts have a supervisor too; theirs has nothing to do but to look at the same processes.
  ways: ['supervised', 'bare'],
  judge({ supervised, bare }) {
    const ratio = last(supervised) / last(bare);
    return { ratio: `1,000: ${times(ratio)}`, ok: ratio <= 1.5 };
  },
});

export const stop = scaleRow({
  name: 'stop of 1 to 1,000 children, to the death of all',
  target: '1,000: ≤ 2 × bare group kills',
  figure: 'stopMs',
  unit: 'ms',
  judge({ supervised, execa, bare }) {
    const ratio = last(supervised) / last(bare);
    const ofExeca = last(supervised) / last(execa);
    return { ratio: `1,000: ${times(ratio)}, and ${times(ofExeca)} execa's`, ok: ratio <= 2 };
  },
});

export const loop = scaleRow({
  name: 'event-loop delay beside 1 to 1,000 children, p99, a sweep included',
  target: '1,000: ≤ 1 ms above bare',
  figure: 'loopP99Ms',
  unit: 'ms',
  judge({ supervised, bare }) {
    const moreMs = last(supervised) - last(bare);
    return {
      ratio: `${moreMs < 0 ? '-' : '+'} ${Math.abs(moreMs).toFixed(2)} ms`,
      ok: moreMs <= 1,
    };
  },
});

interface ScaleRow {
  readonly name: string;
  readonly target: string;
  readonly figure: keyof Scale;
  readonly unit: string;
  /** How many of what was measured make one of the unit. */
  readonly per?: number;
  readonly ways?: readonly Way[];
  judge(values: Readonly<Record<Way, readonly number[]>>): Pick<Measurement, 'ratio' | 'ok'>;
}

function scaleRow({ name, target, figure, unit, per = 1, ways = WAYS, judge }: ScaleRow): Row {
  return {
    name,
    target,
    async measure() {
      measured ??= measureAll();
      const all = await measured;
      const valuesOf = (way: Way) => all[way].map((scale) => scale[figure] / per);
      const lines = ways.map((way) => ({ who: NAMES[way], values: valuesOf(way) }));
      const figures: Figure[] = lines.map(({ who, values }) => ({
        who,
        value: `${values.map(short).join(' · ')} ${unit}`,
      }));
      const { ratio, ok } = judge({
        supervised: valuesOf('supervised'),
        execa: valuesOf('execa'),
        bare: valuesOf('bare'),
      });
      return { figures, ratio, ok, chart: { title: name, unit, x: SIZES, lines } };
    },
  };
}

/** Each size in hosts of their own, so that no way profits from what another has left behind. */
async function measureAll(): Promise<Medians> {
  const medians: Record<Way, Scale[]> = { supervised: [], execa: [], bare: [] };
  for (const size of SIZES) {
    const samples: Record<Way, Scale[]> = { supervised: [], execa: [], bare: [] };
    const take = async (way: Way) => {
      const { stdout } = await run(process.execPath, ['--expose-gc', HOST, way, String(size)]);
      return samples[way].push(JSON.parse(stdout) as Scale);
    };
    await interleave(ROUNDS, {
      supervised: () => take('supervised'),
      execa: () => take('execa'),
      bare: () => take('bare'),
    });
    for (const way of WAYS) medians[way].push(medianOf(samples[way]));
  }
  return medians;
}

function medianOf(samples: readonly Scale[]): Scale {
  const of = (figure: keyof Scale) => median(samples.map((sample) => sample[figure]));
  return {
    spawnsPerSecond: of('spawnsPerSecond'),
    heapBytesEach: of('heapBytesEach'),
    loopP99Ms: of('loopP99Ms'),
    sweepMs: of('sweepMs'),
    stopMs: of('stopMs'),
  };
}

function last(values: readonly number[]): number {
  return values.at(-1) ?? Number.NaN;
}

function short(value: number): string {
  return value.toFixed(value < 10 ? 1 : 0);
}
