// A server that nothing can end: close() reports it in time.
import { expect, it } from 'vitest';
import { UNKILLABLE } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { record } from '../../../kit/mcp.ts';

it('close() reports survivors to onerror, and still closes the transport', async () => {
  using fake = new FakeSupervision({ guardian: false });
  const { supervisor, os } = fake;
  os.reactions = UNKILLABLE;
  const { transport, errors, closes } = record({ command: 'server', stderr: 'ignore', supervisor });
  await fake.until(transport.start());
  const { pid } = transport;
  await fake.until(transport.close());
  expect(errors).toMatchObject([{ message: expect.stringContaining(`server (pid ${pid})`) }]);
  expect(closes()).toBe(1);
  expect(supervisor.list()).toMatchObject([{ pid }]);

  await fake.until(transport.close());
  expect(errors).toHaveLength(1);
  os.die(pid ?? 0);
  await fake.until(supervisor.stop());
});
