// What docs/observability.md lists is what the code has.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNoopMeter, type Meter, type MetricOptions } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { EVENTS } from '../../../src/events.ts';
import { createSupervisor } from '../../../src/index.ts';
import { instrument } from '../../../src/otel/index.ts';

const read = (path: string): string =>
  readFileSync(join(import.meta.dirname, '../../..', path), 'utf8');
const PAGE = read('docs/observability.md');

/** The first two cells of each row of the table with this heading. */
function rowsOf(heading: string): string[][] {
  const lines = PAGE.slice(PAGE.indexOf(heading)).split('\n').slice(2);
  return lines.slice(0, lines.indexOf('')).map((line) => line.split(' | ').slice(0, 2));
}

const unquoted = (cell = ''): string => cell.match(/`([^`]+)`/)?.[1] ?? '';

describe('docs/observability.md', () => {
  it('lists every event, and so does the README', () => {
    const stated = rowsOf('| event | when |').map(([name]) => unquoted(name));
    expect(stated.sort()).toEqual([...EVENTS].sort());
    const [, list = ''] = read('README.md').split('### Events\n');
    const named = (list.split('.')[0] ?? '').match(/(?<=`)[a-z-]+(?=`)/g);
    expect(named).toEqual([...EVENTS].sort((a, b) => list.indexOf(a) - list.indexOf(b)));
  });

  it('lists every metric, with its kind and its unit', () => {
    const made: string[][] = [];
    const noop = createNoopMeter();
    const meter = new Proxy(noop, {
      get(target, key: keyof Meter) {
        const method = target[key] as (...args: unknown[]) => unknown;
        return (name: string, options: MetricOptions) => {
          if (key.startsWith('create')) made.push([name, kindOf(key, options.unit)]);
          return method.call(target, name, options);
        };
      },
    });
    instrument(createSupervisor({ stateDir: '/nowhere' }), {
      meterProvider: { getMeter: () => meter },
    })();
    const stated = rowsOf('| metric | kind, unit |').map(([name, kind = '']) => [
      unquoted(name),
      kind.trim(),
    ]);
    expect(stated.sort()).toEqual(made.sort());
  });
});

function kindOf(method: string, unit = ''): string {
  const kind = { createCounter: 'counter', createHistogram: 'histogram' }[method] ?? 'gauge';
  return unit.startsWith('{') ? kind : `${kind}, ${unit}`;
}
