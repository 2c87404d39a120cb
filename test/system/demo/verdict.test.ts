// The demo's own check can fail: by a planted process, a wrong cause, or having seen nobody.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { DemoQuery } from '../../../examples/demo/queries.ts';
import { judge, type Outcome } from '../../../examples/demo/summary.ts';
import { MARKER, Witness } from '../../../examples/demo/witness.ts';
import type { ExitCause, ExitReport } from '../../../src/index.ts';
import { isProcessAlive } from '../../../src/index.ts';

describe('the witness', () => {
  const planted: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of planted.splice(0)) await end(child);
  });

  /** A process that says it runs, and stays until it is ended. */
  async function plant(env: Record<string, string> = {}): Promise<ChildProcess & { pid: number }> {
    const script = 'process.stdout.write("ready"); setTimeout(() => {}, 60_000)';
    const child = spawn(process.execPath, ['-e', script], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    planted.push(child);
    await once(child.stdout, 'data');
    return child as ChildProcess & { pid: number };
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  const systems = process.platform === 'linux' ? [true, false] : [false];

  it.runIf(process.platform === 'linux')('finds who carries the marker, unasked', async () => {
    const marker = randomUUID();
    const witness = new Witness({ marker, isProcessAlive });
    const child = await plant({ [MARKER]: marker });
    await plant({ [MARKER]: 'of another run' });
    expect(witness.survivors()).toEqual([child.pid]);
    await end(child);
    expect(witness.survivors()).toEqual([]);
  });

  it.each(systems)('finds whom it has seen without the marker (/proc: %s)', async (hasProc) => {
    const witness = new Witness({ marker: randomUUID(), isProcessAlive, hasProc });
    const child = await plant();
    expect(witness.seen).toBe(0);
    witness.look([child.pid]);
    witness.look([child.pid]);
    expect(witness.seen).toBe(1);
    expect(witness.survivors()).toEqual([child.pid]);
    await end(child);
    expect(witness.survivors()).toEqual([]);
  });
});

describe('the verdict', () => {
  const queries: DemoQuery[] = [
    { name: 'one', steps: [], expected: 'completed' },
    { name: 'two', steps: [], expected: 'aborted' },
  ];

  function outcome(causes: Record<string, ExitCause>, rest: Partial<Outcome> = {}): Outcome {
    const reports = Object.entries(causes).map(([sessionId, cause]) => {
      const nothing = { id: sessionId, kind: 'agent', code: null, signal: null, stderrTail: '' };
      const report: ExitReport = {
        ...nothing,
        ...{ pid: 4711, sessionId, cause, intentional: false, forced: false, durationMs: 1_500 },
        pausedMs: 0,
        leftovers: [],
      };
      return [sessionId, report] as const;
    });
    return { reports: new Map(reports), survivors: [], seen: 2, ...rest };
  }

  const right = { one: 'completed', two: 'aborted' } as const;

  it('is good when every cause is right, someone was seen and nobody is alive', () => {
    const { ok, lines } = judge(queries, outcome(right));
    expect(ok).toBe(true);
    expect(lines.at(-1)).toBe('survivors: 0');
    expect(lines.filter((line) => line.startsWith('WRONG'))).toEqual([]);
  });

  it.each<[string, Outcome, string]>([
    ['a survivor', outcome(right, { survivors: [4711] }), 'survivors: 1'],
    [
      'a wrong cause',
      outcome({ ...right, two: 'completed' }),
      'WRONG: two ended as completed, not aborted',
    ],
    [
      'a report that never came',
      outcome({ one: 'completed' }),
      'WRONG: two ended as no report, not aborted',
    ],
    [
      'a witness that saw nobody',
      outcome(right, { seen: 0 }),
      'WRONG: the check saw no process at all, so it proves nothing',
    ],
  ])('is bad for %s', (_, bad, line) => {
    const { ok, lines } = judge(queries, bad);
    expect(ok).toBe(false);
    expect(lines).toContain(line);
  });
});
