// Trees in which no process lives as long as a snapshot takes: they are ended, or reported as
// survivors, in time.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { eventually } from '../../../kit/process-table.ts';
import type { Os } from '../../../src/os/os.ts';
import { systemOs } from '../../../src/os/system.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

const CHAIN = join(import.meta.dirname, '../../fixtures/chain.sh');
const LADDER = { stdinEofMs: 50, termMs: 500, killMs: 1000 };
const DEADLINE_MS = 1500;
/** Enough for more than a second, and ended before the test is over. */
const LINKS = 8000;

let chains = 0;

/** Starts a chain and waits until it goes on by itself. */
async function startChain(area: Area, mode: string, os: Os = systemOs()) {
  const beat = join(area.folder, `beat-${++chains}`);
  const supervisor = new Supervisor({ stateDir: area.stateDir, ladder: LADDER }, os);
  await supervisor.start();
  const shell = mode === 'groups' ? 'bash' : 'sh';
  const child = supervisor.spawn({
    command: shell,
    args: [CHAIN, mode, String(LINKS), beat],
    env: area.env,
    kind: 'tool',
  });
  await child.started;
  const goesOn = async (): Promise<boolean> => {
    const before = read(beat);
    await delay(400);
    return read(beat) !== before;
  };
  await eventually(() => read(beat) !== '');
  return { supervisor, goesOn, group: child.pid ?? 0, end: () => endChain(child.pid ?? 0, goesOn) };
}

async function endChain(group: number, goesOn: () => Promise<boolean>): Promise<void> {
  do {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // No process of it is left.
    }
  } while (await goesOn());
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

describe.runIf(CAN_CONTAIN)('a chain of processes', () => {
  it.for(['group', 'double-fork', 'groups', 'sessions', 'no-environment'])(
    'by %s is ended, or reported at the deadline',
    async (mode, { area }) => {
      const { supervisor, goesOn, end } = await startChain(area, mode);
      const beganMs = performance.now();
      const { survivors } = await supervisor.stop({ deadlineMs: DEADLINE_MS });
      expect(performance.now() - beganMs).toBeLessThan(DEADLINE_MS + 1000);
      if (survivors.length === 0) expect(await goesOn()).toBe(false);
      else await end();
    },
  );

  it('negative control: goes on whatever its group is sent, until it is ended', async ({
    area,
  }) => {
    const { supervisor, goesOn, group, end } = await startChain(area, 'group');
    for (let asked = 0; asked < 5; asked++) process.kill(-group, 'SIGTERM');
    expect(await goesOn()).toBe(true);
    await end();
    await supervisor.stop();
  });

  it('negative control: is lost with its root where no id, cookie or zombie proves it', async ({
    area,
  }) => {
    const { pidSupply: _, ...system } = systemOs();
    const snapshot = async () => {
      const table = await system.processes.snapshot();
      const alive = [...table].filter(([, entry]) => entry.alive);
      return new Map(alive.map(([pid, entry]) => [pid, { ...entry, cookie: undefined, tags: [] }]));
    };
    const os = { ...system, processes: { ...system.processes, snapshot } };
    let lost = false;
    // Now and then a snapshot catches a link together with its parent.
    for (let tries = 0; tries < 5 && !lost; tries++) {
      const { supervisor, goesOn, end } = await startChain(area, 'group', os);
      const { survivors } = await supervisor.stop({ deadlineMs: DEADLINE_MS });
      lost = survivors.length === 0 && (await goesOn());
      await end();
    }
    expect(lost).toBe(true);
  });
});
