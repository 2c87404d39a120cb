// A witness that sees nothing proves nothing: with a protection switched off it must see what is missing.
import { describe, expect, it } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { findByMarker } from '../../../kit/process-table.ts';
import { startSoak } from '../../../kit/soak.ts';

describe.runIf(CAN_CONTAIN)('a soak fails within a minute', () => {
  it.for([
    ['guardian', 'nothing survives its host'],
    ['identity', 'no stranger is touched'],
    ['slots', 'never over concurrency'],
  ] as const)('without %s', { timeout: 150_000 }, async ([protection, invariant]) => {
    const soak = startSoak('--minutes', '1', '--seed', '1', '--without', protection);
    expect(await soak.exited, soak.said).toBe(1);
    expect(soak.said).toContain(`VIOLATION: ${invariant}: `);
    expect(soak.said).toContain(`Again: npm run soak -- --seed 1 --without ${protection}`);
    expect(findByMarker('SOAK', soak.marker)).toEqual([]);
  });
});
