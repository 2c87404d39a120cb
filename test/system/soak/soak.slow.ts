import { describe, expect, it } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { eventually, findByMarker } from '../../../kit/process-table.ts';
import { startSoak } from '../../../kit/soak.ts';

const TIMEOUT_MS = 150_000;

describe.runIf(CAN_CONTAIN)('a soak', () => {
  it('of half a minute sees no violation', { timeout: TIMEOUT_MS }, async () => {
    const soak = startSoak('--minutes', '0.5', '--seed', '20261126');
    expect(await soak.exited, soak.said).toBe(0);
    expect(soak.said).toContain('seed 20261126: no violation');
    expect(findByMarker('SOAK', soak.marker)).toEqual([]);
  });

  it('that is interrupted leaves nothing behind', { timeout: TIMEOUT_MS }, async () => {
    const soak = startSoak('--minutes', '1', '--seed', '7');
    const agents = () =>
      findByMarker('SOAK', soak.marker).filter(({ command }) => command === 'sleep');
    // More than the strangers are.
    await eventually(() => soak.marker !== '' && agents().length > 20, { timeoutMs: 100_000 });
    soak.interrupt();
    expect(await soak.exited, soak.said).toBe(130);
    expect(findByMarker('SOAK', soak.marker)).toEqual([]);
  });

  it.each([
    [['--minutes', 'long'], '--minutes must be above 0, not long'],
    [['--seed', '1.5'], '--seed must be a whole number, not 1.5'],
    [
      ['--without', 'luck'],
      '--without must be one of guardian, identity, slots, tag, launcher, builtins, numbers, not luck',
    ],
  ])('with %j is refused', async (args, reason) => {
    const soak = startSoak(...args);
    expect(await soak.exited).toBe(1);
    expect(soak.said).toContain(reason);
  });
});
