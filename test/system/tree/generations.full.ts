import { describe } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { liveOn } from '../../../kit/generations.ts';

describe.runIf(CAN_CONTAIN)('twenty generations of daemons that agents ensure', () => {
  it('live on', ({ area }) => liveOn(area, 20, false));

  it('live on where each agent has lost its cookie', ({ area }) => liveOn(area, 20, true));
});
