// A witness that sees nothing proves nothing: with a protection switched off it must see what is missing.
import { describe, expect, it } from 'vitest';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { CAN_MAKE_FEW_NUMBERS } from '../../../kit/pid-namespace.ts';
import { findByMarker } from '../../../kit/process-table.ts';
import { startSoak } from '../../../kit/soak.ts';
import { CONTROLS, PROTECTIONS, type Protection } from '../../../soak/controls.ts';

describe.runIf(CAN_CONTAIN)('a soak fails within a minute', () => {
  const NEEDS: Partial<Record<Protection, boolean>> = {
    builtins: process.getuid?.() === 0,
    numbers: CAN_MAKE_FEW_NUMBERS,
  };
  const possible = PROTECTIONS.filter((protection) => NEEDS[protection] ?? true);

  it.for(possible)('without %s', { timeout: 150_000 }, async (protection) => {
    const soak = startSoak('--minutes', '1', '--seed', '1', '--without', protection);
    expect(await soak.exited, soak.said).toBe(1);
    expect(soak.said).toContain(`VIOLATION: ${CONTROLS[protection].breaks}: `);
    expect(soak.said).toContain(`Again: npm run soak -- --seed 1 --without ${protection}`);
    expect(findByMarker('SOAK', soak.marker)).toEqual([]);
  });
});
