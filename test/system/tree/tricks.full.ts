// All programs that no cookie finds, ended in every way.
import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { AS_NOBODY, ENDS, endTricks, missingFor, TRICKS } from '../../../kit/tricks.ts';

const IS_ROOT = process.getuid?.() === 0;
const PRESENT = TRICKS.filter((trick) => missingFor(trick).length === 0);
const FOR_ROOT = PRESENT.filter(({ as }) => as !== 'user');
const FOR_USERS = PRESENT.filter(({ as }) => as !== 'root');

describe.runIf(CAN_CONTAIN)('every program that loses its environment', () => {
  it('exists on this machine', () => {
    const missing = TRICKS.flatMap(missingFor);
    if (process.env['CI']) expect(missing).toEqual([]);
    else if (missing.length > 0) console.warn(`left out, as there is no ${missing.join(', ')}`);
  });

  it.runIf(IS_ROOT).for(ENDS)('is ended by %s', async (how, { area }) => {
    expect(await endTricks(area, FOR_ROOT, how)).toEqual([]);
  });

  it.for(ENDS)('of an ordinary user is ended by %s', async (how, { area }) => {
    const through = IS_ROOT ? AS_NOBODY : [];
    expect(await endTricks(area, FOR_USERS, how, { through })).toEqual([]);
  });
});
