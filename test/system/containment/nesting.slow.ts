// Real hosts within hosts: each learns its depth from the cookie that it was started with.
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it } from '../../../kit/containment.ts';
import type { SupervisorOptions } from '../../../src/index.ts';

/** Far enough beyond every limit here, and yet an end. */
const LEVELS = 6;

async function nest(area: Area, options: SupervisorOptions, through: readonly string[] = []) {
  const host = area.host({ script: 'nested.ts', args: [String(LEVELS)], options, through });
  const end = await host.exited;
  expect({ ...end, stderr: host.stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  const of = (event: string) =>
    host.messages
      .filter((message) => message.event === event)
      .sort((a, b) => Number(a['depth']) - Number(b['depth']))
      .map(({ event: _, ...message }) => message);
  return { depths: of('runs').map(({ depth }) => depth), ends: of('ended') };
}

const completed = (depths: readonly number[]) =>
  depths.map((depth) => ({ depth, cause: 'completed' }));
const refused = (depth: number) => ({ depth, cause: 'not-started', code: 'DEPTH_EXCEEDED' });

describe.runIf(CAN_CONTAIN)('hosts within hosts', () => {
  it('end where maxDepth says', async ({ area }) => {
    expect(await nest(area, { maxDepth: 2 })).toEqual({
      depths: [0, 1, 2],
      ends: [...completed([0, 1]), refused(2)],
    });
  });

  it('go on with a higher one', async ({ area }) => {
    expect(await nest(area, { maxDepth: LEVELS })).toEqual({
      depths: [0, 1, 2, 3, 4, 5, 6],
      ends: completed([0, 1, 2, 3, 4, 5]),
    });
  });

  it('end by themselves at depth 4', async ({ area }) => {
    expect(await nest(area, {})).toEqual({
      depths: [0, 1, 2, 3, 4],
      ends: [...completed([0, 1, 2, 3]), refused(4)],
    });
  });

  it('count from a daemon, however deep that was started', async ({ area }) => {
    const through = ['env', 'AGENT_SUPERVISOR_COOKIE=a.1/b.2/c.3/d.daemon.kept'];
    expect(await nest(area, { maxDepth: 2 }, through)).toEqual({
      depths: [0, 1],
      ends: [...completed([0]), refused(1)],
    });
  });

  it('count all else that is meant to live on', async ({ area }) => {
    const through = ['env', 'AGENT_SUPERVISOR_COOKIE=a.1/b.2.kept'];
    expect(await nest(area, { maxDepth: 2 }, through)).toEqual({ depths: [0], ends: [refused(0)] });
  });

  it('start nothing where nothing is allowed', async ({ area }) => {
    expect(await nest(area, { maxDepth: 0 })).toEqual({ depths: [0], ends: [refused(0)] });
  });
});
