// Every end of an agent × every tree it can grow: nothing of the tree outlives the end, seen from outside.
import { basename } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { endByMarker } from '../../kit/process-table.ts';
import { MARKER, type Scenario, SHAPES, startScenario, survivors } from '../../kit/scenarios.ts';
import { CAN_WATCH_AGENTS, it } from '../../kit/supervised.ts';
import type { ExitCause, ExitReport, Supervisor } from '../../src/index.ts';

vi.setConfig({ maxConcurrency: 3 });

/** From the end's beginning to the death of the last process; the SDK itself takes 2 s to close a query. */
const BOUND_MS = 10_000;

const CAUSES = {
  normal: 'completed',
  abort: 'aborted',
  close: 'terminated',
  SIGTERM: 'terminated',
  SIGKILL: 'crashed',
  reapSession: 'reaped',
  stop: 'shutdown',
} as const satisfies Record<string, ExitCause>;
type SupervisedEnd = keyof typeof CAUSES;
const SUPERVISED_ENDS = Object.keys(CAUSES) as SupervisedEnd[];

const PAIRS = SHAPES.flatMap((shape) =>
  SUPERVISED_ENDS.filter((how) => how !== 'normal' || shape.endsNormally).map((how) => ({
    shape,
    how,
    name: `${shape.name} × ${how}`,
  })),
);
const LEAKS = SHAPES.flatMap((shape) => shape.leaks.slice(0, 1).map((how) => ({ shape, how })));

/** Every so many pairs are quick: as there are seven ends, each tree and each end is among them. */
const STEP = 6;
const isQuick = (_: unknown, index: number): boolean => index % STEP === 0;

/** Tests every STEP-th pair of a tree and an end, or all the others. */
export function describeMatrix(part: 'quick' | 'rest'): void {
  const ofPart = <T>(all: readonly T[]) =>
    all.filter((one, index) => isQuick(one, index) === (part === 'quick'));

  describe.runIf(CAN_WATCH_AGENTS)('a supervised agent', { concurrent: true }, () => {
    it.for(ofPart(PAIRS))('$name', async ({ shape, how }, { api, home, marker, supervise }) => {
      const supervisor = supervise();
      const exited = Promise.withResolvers<ExitReport>();
      const spawnHook = supervisor.spawnHook({
        sessionId: marker,
        onSpawn: (process) => exited.resolve(process.exited),
      });
      const scenario = await startScenario(shape, { api, home, marker, spawnHook });
      const tree = scenario.processes();

      const beganMs = performance.now();
      const [report] = await Promise.all([
        exited.promise,
        bringAbout(how, scenario, supervisor, marker),
      ]);

      expect(scenario.processes()).toEqual([]);
      expect(performance.now() - beganMs).toBeLessThan(BOUND_MS);
      expect(supervisor.list()).toEqual([]);
      expect(report).toMatchObject({
        pid: scenario.agentPid,
        sessionId: marker,
        cause: CAUSES[how],
        intentional: how !== 'normal' && how !== 'SIGKILL',
      });
      const named = report.leftovers.filter(({ pid, command }) =>
        tree.some((row) => row.pid === pid && basename(row.args[0] ?? '') === command),
      );
      if (isLadder(how)) expect(report.leftovers).toEqual([]);
      else if (shape.leaks.includes(how)) expect(named).not.toEqual([]);
      await scenario.done;
    });
  });

  describe.runIf(CAN_WATCH_AGENTS)('without a supervisor', { concurrent: true }, () => {
    it.for(ofPart(LEAKS))(
      '$shape.name × $how leaks',
      async ({ shape, how }, { api, home, marker }) => {
        const scenario = await startScenario(shape, { api, home, marker });
        scenario.end(how);
        await scenario.done;
        expect(await survivors(scenario, BOUND_MS)).not.toEqual([]);
        await endByMarker(MARKER, marker);
      },
    );
  });
}

/** For an end that is ours, resolves when it says it is done. */
async function bringAbout(
  how: SupervisedEnd,
  scenario: Scenario,
  supervisor: Supervisor,
  sessionId: string,
): Promise<void> {
  if (how === 'reapSession') await supervisor.reapSession(sessionId);
  else if (how === 'stop') await supervisor.stop();
  else scenario.end(how);
}

/** The ends in which our ladder ends the whole tree; after the others it ends what is left over. */
function isLadder(how: SupervisedEnd): how is 'abort' | 'reapSession' | 'stop' {
  return how === 'abort' || how === 'reapSession' || how === 'stop';
}
