import { describe } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { liveOn } from '../../../kit/generations.ts';

describe.runIf(CAN_CONTAIN)('daemons that agents ensure', () => {
  it('live on, three generations deep', ({ area }) => liveOn(area, 3, false));

  it('live on where each agent has lost its cookie', ({ area }) => liveOn(area, 3, true));
});
