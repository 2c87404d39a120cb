// The same for ten seconds, one after the other.
import { describe } from 'vitest';
import { FREEZES, freezeIn } from '../../../kit/frozen.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';

describe.runIf(CAN_WATCH)('a host that stands still for ten seconds uses nothing up of', () => {
  it.for(FREEZES)('%s', async ([step, check], { home, marker }) => {
    check(await freezeIn(step, { folder: home, marker, freezeMs: 10_000 }));
  });
});
