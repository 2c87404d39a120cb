// A test with its own supervisor, home and marker; no process of it may outlive the test.
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import type { Supervisor, SupervisorOptions } from '../src/index.ts';
import { createTestSupervisor, type TestSupervisor } from '../src/testing/index.ts';
import { startFakeApi } from './fake-api.ts';
import { endByMarker } from './process-table.ts';
import { AGENT_MISSING, agentAvailable, makeTempDir, removeTempDir } from './real-agent.ts';
import { MARKER } from './scenarios.ts';

/** `true` where the tests' own process table works. */
export const CAN_WATCH = process.platform === 'linux';
/** `true` where the real agent can run, too. */
export const CAN_WATCH_AGENTS = CAN_WATCH && agentAvailable();
if (!agentAvailable()) console.warn(AGENT_MISSING);

/** Steps short enough for a test, and long enough for an agent that exits by itself. */
const LADDER = { stdinEofMs: 500, termMs: 2000, killMs: 1000 };

/** A test that fails at its end if a process with its marker is alive. */
export const it = test
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it that there is nothing to wait for.
  .extend('api', { scope: 'file' }, async ({}, { onCleanup }) => {
    const api = await startFakeApi();
    onCleanup(() => api.close());
    return api;
  })
  // biome-ignore lint/correctness/noEmptyPattern: as above.
  .extend('home', async ({}, { onCleanup }) => {
    const home = await makeTempDir();
    onCleanup(async () => {
      const leaked = await endByMarker(MARKER, basename(home));
      await removeTempDir(home);
      expect(leaked, 'alive after the test').toEqual([]);
    });
    return home;
  })
  .extend('marker', ({ home }) => basename(home))
  .extend('supervise', async ({ home }, { onCleanup }) => {
    const supervisors: TestSupervisor[] = [];
    onCleanup(async () => {
      await Promise.all(supervisors.map((supervisor) => supervisor.dispose()));
    });
    return (options: SupervisorOptions = {}): Supervisor => {
      const stateDir = join(home, 'state');
      const supervisor = createTestSupervisor({ stateDir, ladder: LADDER, ...options });
      supervisors.push(supervisor);
      return supervisor;
    };
  });
