// Processes that end in a way of their own: signals, times, and what they leave behind.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';
import type { SpawnRequest, SupervisedProcess, Supervisor } from '../../../src/index.ts';

/** Starts a shell script, and waits for its first line. */
async function start(
  supervisor: Supervisor,
  marker: string,
  script: string,
  request: Partial<SpawnRequest> = {},
): Promise<SupervisedProcess> {
  const env = { ...process.env, [MARKER]: marker };
  const args = ['-c', script];
  const child = supervisor.spawn({ command: 'bash', args, env, kind: 'tool', ...request });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

const alive = (marker: string) => findByMarker(MARKER, marker).map(({ args }) => args.join(' '));

describe.runIf(CAN_WATCH)('a process with an end of its own', () => {
  it('is asked by its own signal', async ({ supervise, marker }) => {
    const script = 'trap "exit 7" INT; trap "" TERM; echo; while :; do sleep 0.05; done';
    const ladder = { stdinEofMs: 0, termMs: 20_000 };
    const child = await start(supervise(), marker, script, { ladder, stopSignal: 'SIGINT' });
    await child.terminate();
    expect(await child.exited).toMatchObject({ code: 7, forced: false, cause: 'terminated' });
  });

  it('has the time that its own ladder says (the control has the other)', async ({
    supervise,
    marker,
  }) => {
    const script = 'trap "" TERM; echo; while :; do sleep 0.05; done';
    const ladder = { stdinEofMs: 0, termMs: 100 };
    const supervisor = supervise({ ladder: { termMs: 60_000 } });
    const child = await start(supervisor, marker, script, { ladder });
    const { durationMs } = await child.terminate();
    expect(durationMs).toBeLessThan(30_000);
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL', forced: true });
    const patient = await start(supervisor, marker, script, { ladder: { stdinEofMs: 0 } });
    void patient.terminate();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(patient.exitCode ?? patient.signalCode).toBeNull();
    await patient.terminate({ force: true });
  });

  it('saves through a child that lives until the leader has exited', async ({
    supervise,
    marker,
    home,
  }) => {
    const script = `
      sleep 300 & child=$!
      trap 'sleep 0.5; kill -0 $child && echo alive > "$FILE" || echo dead > "$FILE"; exit 0' TERM
      echo
      while :; do sleep 0.05; done`;
    const ladder = { stdinEofMs: 0, termMs: 20_000 };
    const supervisor = supervise();
    const save = async (name: string, request: Partial<SpawnRequest>) => {
      const file = join(home, name);
      const env = { ...process.env, [MARKER]: marker, FILE: file };
      const child = await start(supervisor, marker, script, { ladder, env, ...request });
      await child.terminate();
      expect(alive(marker)).toEqual([]);
      return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'nothing';
    };
    expect(await save('leader', { signalFirst: 'leader' })).toBe('alive');
    expect(await save('tree', {})).not.toBe('alive');
  });
});

describe.runIf(CAN_WATCH)('leftovers', () => {
  const LEAVES = 'setsid sleep 300 & setsid tail -f /dev/null & echo; sleep 0.2; exit 0';

  it('are kept or ended one by one', async ({ supervise, marker }) => {
    const supervisor = supervise();
    const asked: string[] = [];
    const child = await start(supervisor, marker, LEAVES, {
      leftovers: ({ command }) => {
        asked.push(command);
        return command === 'tail' ? 'keep' : 'terminate';
      },
    });
    const { leftovers } = await child.exited;
    expect(asked.sort()).toEqual(['sleep', 'tail']);
    expect(leftovers.map(({ command }) => command).sort()).toEqual(['sleep', 'tail']);
    expect(alive(marker)).toEqual(['tail -f /dev/null']);
    // Neither a sweep nor the end of the supervisor ends it.
    await supervisor.sweep();
    await supervisor.stop();
    expect(alive(marker)).toEqual(['tail -f /dev/null']);
    for (const { pid } of findByMarker(MARKER, marker)) process.kill(pid, 'SIGKILL');
  });

  it('may finish within their grace, and no longer', async ({ supervise, marker, home }) => {
    const supervisor = supervise();
    const file = join(home, 'finished');
    const env = { ...process.env, [MARKER]: marker, FILE: file };
    const finishes = 'setsid sh -c \'sleep 1; echo yes > "$FILE"\' & echo; exit 0';
    const patient = await start(supervisor, marker, finishes, { env, leftoversGraceMs: 60_000 });
    const { forced, leftovers } = await patient.exited;
    expect(leftovers.length).toBeGreaterThan(0);
    expect(forced).toBe(false);
    expect(readFileSync(file, 'utf8')).toBe('yes\n');
    // The control: whoever never finishes is ended.
    const child = await start(supervisor, marker, LEAVES, { leftoversGraceMs: 300 });
    await child.exited;
    expect(alive(marker)).toEqual([]);
  });

  it('have no grace left when somebody ends the process', async ({ supervise, marker }) => {
    const child = await start(supervise(), marker, LEAVES, { leftoversGraceMs: 600_000 });
    await eventually(() => child.exitCode !== null);
    await child.terminate();
    expect(alive(marker)).toEqual([]);
  });
});
