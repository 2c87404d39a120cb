import { createSupervisor, defineService } from '../built.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row } from '../row.ts';

const CALLS = 20_000;
const ROUNDS = 20;

/** A live service is asked for; the peer is a promise that has long been kept. */
export const row: Row = {
  name: 'ensure() on a live service',
  target: '≤ 50 µs',
  async measure() {
    using folder = temporaryFolder();
    await using supervisor = createSupervisor({ stateDir: folder.path });
    const ready = { stdout: /ready/ };
    const service = defineService(supervisor, {
      name: 'live',
      command: '/bin/sh',
      args: ['-c', 'echo ready; exec sleep 300'],
      ready,
    });
    const process = service.ensure();
    await process;
    const { ensured, awaited } = await interleave(
      ROUNDS,
      {
        ensured: () => perCallMs(() => service.ensure()),
        awaited: () => perCallMs(() => process),
      },
      { warmUp: 2 },
    );
    return {
      figures: [
        { who: 'ensure()', value: microseconds(median(ensured)) },
        { who: 'a kept promise', value: microseconds(median(awaited)) },
      ],
      ratio: `${microseconds(median(ensured))} each`,
      ok: median(ensured) <= 0.05,
    };
  },
};

async function perCallMs(call: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  for (let count = 0; count < CALLS; count++) await call();
  return (performance.now() - beganMs) / CALLS;
}
