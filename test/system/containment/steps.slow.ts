// No moment of a spawn, on its way out or back, is one at which the host's death leaves anything.
import { describe, expect, test } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { CERTAIN_STEPS, dieAt, dieEverywhere } from '../../../kit/deaths.ts';

/** The steps that change something outside the host; steps.full.ts takes them all. */
const TELLING = /launch|guardian|journal|^at |(read|signalGroup) \(1\)/;

describe.runIf(CAN_CONTAIN)('a host is SIGKILLed between two steps of a spawn', () => {
  test('nothing survives, whichever they are', async () => {
    const deaths = await dieEverywhere((step) => TELLING.test(step));
    expect([...deaths].filter(([, survivors]) => survivors.length > 0)).toEqual([]);
    expect([...deaths.keys()]).toEqual(expect.arrayContaining(CERTAIN_STEPS));
  });

  test.for(['after os.launch (1)', "at 'leftovers' (1)"])(
    '%s, without a guardian: its children survive (control)',
    async (step) => {
      const { signal, survivors } = await dieAt(step, { options: { guardian: false } });
      expect(signal).toBe('SIGKILL');
      // Not the leader, whose stdin has ended; nor, maybe, who has just lost his reader.
      expect(survivors).toContain('sleep 300');
    },
  );
});
