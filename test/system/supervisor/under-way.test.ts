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
      execFile(process.execPath, args, { env, timeout: 30_000 }, (error, said) =>
        resolve({ code: error?.code ?? 0, said: said.trim() }),
      );
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
  expect(await script(`${adopt(stray(3))} await adopted.exited;`)).toEqual(OVER);
});

it.runIf(CAN_WATCH)('does not where it keeps nobody alive', async ({ script, stray }) => {
  const lines = `${adopt(stray(10), ', keepAlive: false')} await adopted.exited;`;
  expect(await script(lines)).toEqual(UNSETTLED);
});

it.runIf(CAN_WATCH)('waits while a stop lets it finish', async ({ script, stray }) => {
  const lines = `${adopt(stray(30), ', keepAlive: false')} await supervisor.stop({ finishMs: 500 });`;
  expect(await script(lines)).toEqual(OVER);
});

it('waits for a fake agent, and for its end', async ({ script }) => {
  const hang = `
    const supervisor = createTestSupervisor({ agent: fakeAgent([hang()]), guardian: false });
    const agent = supervisor.spawnHook()({ command: 'claude', args: [] });`;
  const ended = `setTimeout(() => agent.kill('SIGKILL'), 300).unref(); await agent.exited;`;
  expect(await script(`${hang} ${ended} await supervisor.dispose();`)).toEqual(OVER);
});
