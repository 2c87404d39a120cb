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

  it("is had in turn with 'wait', also after a host was killed with its agent", async ({
    area,
  }) => {
    const one = new Race(area);
    await one.gather(4);
    const uuid = crypto.randomUUID();
    const request = one.request(uuid, { onDuplicate: 'wait' }, ['heirs']);
    const waiting = new Map(one.hosts.map((host) => [host, host.ask({ do: 'spawn', request })]));
    for (let turn = 1; turn <= 4; turn++) {
      const turns = [...waiting].map(async ([host, answer]) => ({ host, answer: await answer }));
      const { host, answer } = await Promise.race(turns);
      waiting.delete(host);
      expect(answer).toMatchObject({ done: 'spawn' });
      const roots = one.agents(uuid).filter(({ args }) => args.at(-1) === 'heirs');
      expect(roots.map(({ pid }) => pid)).toEqual([answer['pid']]);
      if (turn > 1) await host.ask({ do: 'terminate', id: answer['id'] as string });
      else {
        host.kill('SIGKILL');
        await host.exited;
        one.hosts.splice(one.hosts.indexOf(host), 1);
      }
    }
    await one.finish();
  });

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
