// A script that waits for what is under way, and has nothing else that keeps it alive.
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';

const SOURCE = join(import.meta.dirname, '../../../src');

const it = base
  .extend('script', ({ home }) => (lines: string) => {
    const text = `
      import { createSupervisor } from '${SOURCE}/index.ts';
      import { createTestSupervisor, fakeAgent, hang } from '${SOURCE}/testing/index.ts';
      ${lines}
      console.log('over');`;
    return new Promise<{ code: unknown; said: string }>((resolve) => {
      const args = ['--input-type=module', '-e', text];
      const env = { PATH: process.env['PATH'] ?? '', HOME: home };
      const { stdin, stderr } = execFile(
        process.execPath,
        args,
        { env, timeout: 30_000 },
        (error, said) => resolve({ code: error?.code ?? 0, said: said.trim() }),
      );
      // A script that says on stderr that it waits is answered.
      stderr?.once('data', () => stdin?.end('go'));
    });
  })
  .extend('stray', ({ marker }, { onCleanup }) => {
    return (seconds: number): number => {
      const env = { PATH: process.env['PATH'] ?? '', AGENT_SUPERVISOR_TEST: marker };
      const child = spawn('sleep', [String(seconds)], { detached: true, stdio: 'ignore', env });
      onCleanup(() => void child.kill('SIGKILL'));
      return child.pid ?? 0;
    };
  });

const OVER = { code: 0, said: 'over' };
/** What Node says of a script that leaves in the middle of an await. */
const UNSETTLED = { code: 13, said: '' };
const adopt = (pid: number, more = '') => `
  const supervisor = createSupervisor();
  const adopted = await supervisor.adopt({ pid: ${pid}${more} });`;

it.runIf(CAN_WATCH)('waits for an adopted process', async ({ script, stray }) => {
  expect(await script(`${adopt(stray(8))} await adopted.exited;`)).toEqual(OVER);
});

it.runIf(CAN_WATCH)('does not where it keeps nobody alive', async ({ script, stray }) => {
  const lines = `${adopt(stray(10), ', keepAlive: false')} await adopted.exited;`;
  expect(await script(lines)).toEqual(UNSETTLED);
});

it.runIf(CAN_WATCH)('waits while a stop lets it finish', async ({ script, stray }) => {
  const lines = `${adopt(stray(30), ', keepAlive: false')} await supervisor.stop({ finishMs: 500 });`;
  expect(await script(lines)).toEqual(OVER);
});

/** A fake agent in the middle of its turn, in which it ends only at the bottom of the ladder. */
const HANGING = `
  const own = new AbortController();
  const supervisor = createTestSupervisor({
    agent: fakeAgent([hang({ ignoresSigterm: true })]),
    ladder: { stdinEofMs: 300, termMs: 300, killMs: 1000 },
    guardian: false,
  });
  const agent = supervisor.spawnHook({ sessionId: 'one' })({
    ...{ command: 'claude', signal: own.signal },
    args: ['--input-format', 'stream-json'],
  });
  agent.stdin.write(JSON.stringify({ type: 'user', message: { content: 'x' } }) + '\\n');
  await new Promise((resolve) => agent.stdout.once('data', resolve));
  agent.stdout.resume();`;
const KILLED = `if ((await agent.exited).signal !== 'SIGKILL') throw new Error('it has ended otherwise');`;

it.for([
  ['terminate', 'await agent.terminate();'],
  ['reapSession', "await supervisor.reapSession('one');"],
  ['stop', 'await supervisor.stop({ finishMs: 300 });'],
  ['an abort', 'own.abort(); await agent.exited;'],
  ['its disposal', 'await supervisor.dispose();'],
  [
    'nothing, until somebody kills it',
    `process.stdin.once('data', () => agent.kill('SIGKILL')).unref(); console.error('waiting');`,
  ],
])('waits while a fake agent is ended by %s', { concurrent: true }, async ([, end], { script }) => {
  expect(await script(`${HANGING} ${end} ${KILLED}`)).toEqual(OVER);
});

it('does not wait for one that is over', async ({ script }) => {
  const lines = `${HANGING} agent.kill('SIGKILL'); await agent.exited; await new Promise(() => {});`;
  expect(await script(lines)).toEqual(UNSETTLED);
});

it.runIf(CAN_WATCH)('waits while the rest of a tree goes down the ladder', async ({ script }) => {
  const lines = `
    const supervisor = createSupervisor({ ladder: { termMs: 500, killMs: 1000 } });
    const rest = "trap '' TERM; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done";
    const child = supervisor.spawn({ command: '/bin/sh', args: ['-c', '(' + rest + ') & exit 0'] });
    const { leftovers, forced } = await child.exited;
    if (leftovers.length === 0 || !forced) throw new Error('nothing had to be ended');`;
  expect(await script(lines)).toEqual(OVER);
});
