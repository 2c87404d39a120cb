// At no instant two live agents in one conversation, however many hosts want it.
import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { Race, race } from '../../../kit/conversation-race.ts';

describe.runIf(CAN_CONTAIN)('one conversation for many hosts', { timeout: 120_000 }, () => {
  it.for([
    { hosts: 2, rounds: 6, guardian: false },
    { hosts: 2, rounds: 2, guardian: true },
    { hosts: 10, rounds: 2, guardian: false },
  ])('$hosts at once, $rounds rounds, guardian: $guardian', (size, { area }) => race(area, size));

  it.for([
    ["with 'allow'", { onDuplicate: 'allow' }],
    ['without a conversation', { conversationId: undefined }],
  ] as const)('negative control: %s the agents meet', async ([, more], { area }) => {
    const one = new Race(area);
    await one.gather(2);
    await one.run(one.request(crypto.randomUUID(), more));
    expect(one.overlaps).toContain('EADDRINUSE');
    for (const host of one.hosts) await host.ask({ do: 'stop' });
  });
});
