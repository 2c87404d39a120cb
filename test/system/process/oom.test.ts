// Processes that the kernel kills in a control group with little memory, and those that somebody kills.
import { describe, expect } from 'vitest';
import { CAN_LIMIT_MEMORY, MemoryGroup } from '../../../kit/memory-group.ts';
import { hasProgram } from '../../../kit/programs.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base } from '../../../kit/supervised.ts';
import type { SupervisedProcess, Supervisor } from '../../../src/index.ts';

const PERL = '/usr/bin/perl';
const CAN_RUN = CAN_LIMIT_MEMORY && hasProgram(PERL);

/** Wants 200 MB, and ends by itself where it gets them. */
const GREEDY = `exec ${PERL} -e '$x = "a" x 200_000_000; sleep 5'`;
const MODEST = 'exec sleep 30';

interface Start {
  readonly marker: string;
  readonly group: MemoryGroup;
  readonly byHook?: boolean;
}

/** Starts a script, which waits until we are no longer in the group: the kernel might take us. */
async function start(
  supervisor: Supervisor,
  lines: string,
  { marker, group, byHook = false }: Start,
): Promise<SupervisedProcess> {
  const request = {
    command: '/bin/sh',
    args: ['-c', `read go\n${lines}`],
    env: { PATH: process.env['PATH'], [MARKER]: marker },
  };
  const begin = async (): Promise<SupervisedProcess> => {
    const child = byHook
      ? supervisor.spawnHook({ slot: false })(request)
      : supervisor.spawn({ ...request, slot: false });
    await child.started;
    return child;
  };
  const child = await group.within(begin);
  child.stdin?.write('go\n');
  return child;
}

const it = base
  .extend('group', async ({ marker }, { onCleanup }) => {
    const group = new MemoryGroup(marker, 50_000_000);
    onCleanup(() => group.remove());
    return group;
  })
  // A guardian would begin in the group, too.
  .extend('supervisor', ({ supervise }) => supervise({ guardian: false }));

const OOM = { cause: 'memory', oomKilled: true, intentional: false };

describe.runIf(CAN_RUN)('in a control group with little memory', () => {
  it('a run goes on after an OOM kill', async ({ group, marker, supervisor }) => {
    const run = supervisor.run({ backoffMs: 10, maxRestarts: 1 }, ({ attempt }) =>
      start(supervisor, attempt === 1 ? GREEDY : 'exit 0', { marker, group }),
    );
    const { outcome, reports } = await run.done;
    expect(outcome).toBe('completed');
    expect(reports).toMatchObject([{ ...OOM, signal: 'SIGKILL' }, { cause: 'completed' }]);
  });

  it('one is killed by somebody else (control)', async ({ group, marker, supervisor }) => {
    const { pid, exited } = await start(supervisor, MODEST, { marker, group });
    process.kill(pid as number, 'SIGKILL');
    const report = await exited;
    expect(report).toMatchObject({ cause: 'crashed', intentional: false, signal: 'SIGKILL' });
    expect(report).not.toHaveProperty('oomKilled');
  });

  it('the kernel kills one, and somebody another', async ({ group, marker, supervisor }) => {
    const other = await start(supervisor, MODEST, { marker, group });
    const greedy = await start(supervisor, GREEDY, { marker, group });
    expect(await greedy.exited).toMatchObject(OOM);
    process.kill(other.pid as number, 'SIGKILL');
    expect(await other.exited).toMatchObject({ cause: 'crashed' });
  });

  it('the kernel kills what a shell runs', async ({ group, marker, supervisor }) => {
    const { exited } = await start(supervisor, `(${GREEDY})\nexit $?`, { marker, group });
    expect(await exited).toMatchObject({ ...OOM, code: 137 });
  });

  it('the kernel kills an agent of the hook', async ({ group, marker, supervisor }) => {
    const { exited } = await start(supervisor, GREEDY, { marker, group, byHook: true });
    expect(await exited).toMatchObject({ ...OOM, kind: 'agent' });
  });
});
