// Programs that no cookie finds, ended in every way; the others are in tricks.full.ts.
import { describe, expect } from 'vitest';
import { CAN_CONTAIN, GRACE_MS, it } from '../../../kit/containment.ts';
import { AS_NOBODY, ENDS, endTricks, missingFor, TRICKS } from '../../../kit/tricks.ts';

const QUICK = TRICKS.filter(({ name }) =>
  /ssh-agent|0711|env -i|main thread|itself again|SIGSTOP/.test(name),
);
const IS_ROOT = process.getuid?.() === 0;

describe.runIf(CAN_CONTAIN)('a process that loses its environment', () => {
  it('exists on this machine', () => {
    expect(QUICK).toHaveLength(6);
    expect(QUICK.flatMap(missingFor)).toEqual([]);
  });

  it.for(ENDS)('is ended by %s', async (how, { area }) => {
    expect(await endTricks(area, QUICK, how)).toEqual([]);
  });

  it.runIf(IS_ROOT).for(ENDS)('of an ordinary user is ended by %s', async (how, { area }) => {
    expect(await endTricks(area, QUICK, how, { through: AS_NOBODY })).toEqual([]);
  });

  // The negative control: without tags none would be found.
  it.for(['its own end', 'the host’s death', 'the next start'] as const)(
    'without tags survives %s',
    async (how, { area }) => {
      const left = await endTricks(area, QUICK, how, {
        options: { rlimitTag: false },
        patienceMs: GRACE_MS,
      });
      expect(left).toContain('env -i, in a session of its own, by a double fork');
      expect(left).toContain('a main thread that has exited');
    },
  );
});
