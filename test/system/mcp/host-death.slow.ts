// A host with a connected client dies, for any cause.
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  GRACE_MS,
  it,
} from '../../../kit/containment.ts';
import { eventually } from '../../../kit/process-table.ts';

const DEATHS: readonly (readonly [string, (host: ContainedHost) => void])[] = [
  ['SIGKILL', (host) => host.kill('SIGKILL')],
  ['SIGTERM', (host) => host.kill('SIGTERM')],
  ['process.exit', (host) => host.send({ do: 'die', how: 'exit' })],
  ['an uncaught throw', (host) => host.send({ do: 'die', how: 'throw' })],
];

/** Lists the live processes of the server, by its command line. */
const roles = (area: Area) => area.tree().flatMap(({ args }) => args[2] ?? []);

async function connectedHost(area: Area, whose: 'supervised' | 'theirs'): Promise<ContainedHost> {
  const host = await area.readyHost({ script: 'mcp.ts', args: [whose] });
  expect(host.messages).toMatchObject([{ content: [{ text: 'pong' }] }]);
  await eventually(() => roles(area).sort().join() === 'child,stubborn', { what: 'both stand' });
  return host;
}

describe.runIf(CAN_CONTAIN)('a host with a connected client dies', () => {
  it.for(DEATHS)('ends server and child after %s', async ([, kill], { area }) => {
    const host = await connectedHost(area, 'supervised');
    kill(host);
    await host.exited;
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });

  it("leaves both after SIGKILL with the SDK's own transport (control)", async ({ area }) => {
    const host = await connectedHost(area, 'theirs');
    host.kill('SIGKILL');
    await host.exited;
    expect(await area.survivors(GRACE_MS)).toHaveLength(2);
    expect(roles(area).sort()).toEqual(['child', 'stubborn']);
    await area.endAll();
  });
});
