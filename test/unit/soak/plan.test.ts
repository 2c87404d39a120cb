import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROLS, PROTECTIONS } from '../../../soak/controls.ts';
import { DEED_NAMES, type DeedName, PLACES, planControl, planDeeds } from '../../../soak/plan.ts';

const FUZZ = { seed: 20261126, numRuns: 20 };
const seeds = fc.integer();

/** What may befall a host or what it has, but nobody who has to be there to the end. */
const HURTS_ITS_HOST: readonly DeedName[] = [
  'kill-host',
  'kill-by-parent',
  'kill-guardian',
  'kill-host-and-guardian',
  'stop-guardian',
  'stop-host',
  'end-host',
];

describe.each(PROTECTIONS)('the control without %s', (protection) => {
  it('does what shows the fault, in this order, at its places', () => {
    const { deeds, places } = CONTROLS[protection];
    const round = planControl(CONTROLS[protection]);
    expect(new Set(round.map(({ name }) => name))).toEqual(new Set(deeds));
    expect(new Set(round.map(({ place }) => place))).toEqual(new Set(places));
  });
});

describe('a plan', () => {
  it('is the same for the same seed, and another one for another', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(planDeeds(seed, 30_000)).toEqual(planDeeds(seed, 30_000));
        expect(planDeeds(seed, 30_000)).not.toEqual(planDeeds(seed + 1, 30_000));
      }),
      FUZZ,
    );
  });

  it('begins like a shorter one', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const short = planDeeds(seed, 20_000);
        expect(planDeeds(seed, 60_000).slice(0, short.length)).toEqual(short);
      }),
      FUZZ,
    );
  });

  it('goes on to its end in order, and leaves no deed out within half a minute', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const deeds = planDeeds(seed, 30_000);
        const times = deeds.map(({ atMs }) => atMs);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        expect(times.at(-1)).toBeLessThan(30_000);
        expect(new Set(deeds.map(({ name }) => name))).toEqual(new Set(DEED_NAMES));
      }),
      FUZZ,
    );
  });

  it('never hurts the veteran, and takes the guardian of nobody whom no other host can replace', () => {
    const deeds = planDeeds(1, 600_000);
    const hurt = deeds.filter(({ name }) => HURTS_ITS_HOST.includes(name));
    expect(hurt.map(({ place }) => place)).not.toContain(PLACES.veteran);
    const unguarded = hurt.filter(({ name }) => name.includes('guardian'));
    for (const alone of [PLACES.cramped, PLACES.crowded, PLACES.recycling])
      expect(unguarded.map(({ place }) => place)).not.toContain(alone);
  });
});
