// The same race, long enough to meet what is rare.
import { describe } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { race } from '../../../kit/conversation-race.ts';

describe.runIf(CAN_CONTAIN)('one conversation for many hosts, again and again', () => {
  it.for([
    { hosts: 2, rounds: 40, guardian: false },
    { hosts: 2, rounds: 30, guardian: true },
    { hosts: 10, rounds: 30, guardian: false },
  ])('$hosts at once, $rounds rounds, guardian: $guardian', (size, { area }) => race(area, size));
});
