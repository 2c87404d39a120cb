// A run whose next start is refused for a reason that passes: it waits, within its budget.
import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';

const POLICY = { backoffMs: 50, jitter: 0, sameCrashLimit: 99, maxRestarts: 4 };

describe.runIf(CAN_WATCH)('a run', () => {
  it('waits for a program that an updater takes away', async ({ supervise, home }) => {
    const supervisor = supervise();
    const script = join(home, 'script');
    const command = join(home, 'program');
    await writeFile(script, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    await symlink(script, command);
    let attempts = 0;
    const run = supervisor.run(POLICY, () => supervisor.spawn({ command }));
    supervisor.on('restarting', async () => {
      attempts += 1;
      if (attempts === 1) await rm(command);
      if (attempts === 3) await symlink(script, command);
    });
    const { outcome, reports } = await run.done;
    expect(reports.map(({ cause }) => cause)).toEqual([
      'failed',
      'not-started',
      'not-started',
      'failed',
      'failed',
    ]);
    expect(outcome).toBe('exhausted');
  });

  it('ends with a program that was never there (control)', async ({ supervise }) => {
    const supervisor = supervise();
    const run = supervisor.run(POLICY, () => supervisor.spawn({ command: '/nowhere/program' }));
    expect(await run.done).toMatchObject({ outcome: 'refused', restarts: 0 });
  });
});
