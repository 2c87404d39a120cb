// Processes that the kernel kills in a control group with little memory, and those that somebody kills.
import { describe, expect } from 'vitest';
import { CAN_LIMIT_MEMORY, MemoryGroup } from '../../../kit/memory-group.ts';
import { hasProgram } from '../../../kit/programs.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base } from '../../../kit/supervised.ts';

const PERL = '/usr/bin/perl';
const CAN_RUN = CAN_LIMIT_MEMORY && hasProgram(PERL);

/** Wants 200 MB, and ends by itself where it gets them. */
const GREEDY = `exec ${PERL} -e '$x = "a" x 200_000_000; sleep 5'`;
const MODEST = 'exec sleep 30';
/** Time for the supervisor to see the new group. */
const WAIT = 'sleep 0.3';

const it = base.extend('group', async ({ marker }, { onCleanup }) => {
  const group = new MemoryGroup(marker, 50_000_000);
  onCleanup(() => group.remove());
  return group;
});

const script = (...lines: string[]) => ({ command: '/bin/sh', args: ['-c', lines.join('\n')] });
const marked = (marker: string) => ({ PATH: process.env['PATH'], [MARKER]: marker });

describe.runIf(CAN_RUN)('in a control group with little memory', () => {
  it('a run goes on after an OOM kill', async ({ group, marker, supervise }) => {
    const supervisor = supervise();
    const run = supervisor.run({ backoffMs: 10, maxRestarts: 1 }, ({ attempt }) =>
      supervisor.spawn({
        ...script(group.join, WAIT, attempt === 1 ? GREEDY : 'exit 0'),
        env: marked(marker),
      }),
    );
    const { outcome, reports } = await run.done;
    expect(outcome).toBe('completed');
    const oom = { cause: 'memory', oomKilled: true, intentional: false, signal: 'SIGKILL' };
    expect(reports).toMatchObject([oom, { cause: 'completed' }]);
  });

  it('one is killed by somebody else (control)', async ({ group, marker, supervise }) => {
    const { pid, exited } = supervise().spawn({
      ...script(group.join, WAIT, MODEST),
      env: marked(marker),
    });
    process.kill(pid as number, 'SIGKILL');
    const report = await exited;
    expect(report).toMatchObject({ cause: 'crashed', intentional: false, signal: 'SIGKILL' });
    expect(report).not.toHaveProperty('oomKilled');
  });

  it('the kernel kills one, and somebody another outside', async ({ group, marker, supervise }) => {
    const supervisor = supervise();
    const env = marked(marker);
    const other = supervisor.spawn({ ...script(MODEST), slot: false, env });
    const greedy = supervisor.spawn({ ...script(group.join, WAIT, GREEDY), slot: false, env });
    expect(await greedy.exited).toMatchObject({ cause: 'memory', oomKilled: true });
    process.kill(other.pid as number, 'SIGKILL');
    expect(await other.exited).toMatchObject({ cause: 'crashed' });
  });

  it('the kernel kills what a shell runs', async ({ group, marker, supervise }) => {
    const { exited } = supervise().spawn({
      ...script(group.join, WAIT, `(${GREEDY})`, 'exit $?'),
      env: marked(marker),
    });
    expect(await exited).toMatchObject({ cause: 'memory', oomKilled: true, code: 137 });
  });

  it('the kernel kills an agent of the hook', async ({ group, marker, supervise }) => {
    const { exited } = supervise().spawnHook()({
      ...script(group.join, WAIT, GREEDY),
      env: marked(marker),
    });
    expect(await exited).toMatchObject({ kind: 'agent', cause: 'memory', oomKilled: true });
  });
});
