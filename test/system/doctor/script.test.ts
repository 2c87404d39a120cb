// A script without a server, which nothing else keeps alive.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';

const SOURCE = join(import.meta.dirname, '../../../src');

/** Runs a script in a process of its own, and returns its output; rejects if it exits too early. */
const it = base.extend('script', ({ home, marker }) => async (lines: string) => {
  const text = `
    import { createSupervisor } from '${SOURCE}/index.ts';
    import { doctorHandler } from '${SOURCE}/doctor/index.ts';
    const supervisor = createSupervisor({ stateDir: '${home}/state' });
    ${lines}`;
  const run = promisify(execFile);
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, AGENT_SUPERVISOR_TEST: marker };
  return (await run(process.execPath, ['--input-type=module', '-e', text], { env })).stdout.trim();
});

it.runIf(CAN_WATCH)('answers two requests, one after the other', async ({ script }) => {
  const told = await script(`
    const handler = doctorHandler(supervisor, { authorize: () => true });
    const ask = async () => (await handler(new Request('http://x/report.json'))).status;
    console.log(await ask(), await ask());`);
  expect(told).toBe('200 200');
});

it.runIf(CAN_WATCH)(
  'the wait between reports would not keep a host alive by itself (control)',
  async ({ script }) => {
    const wait = `
    const { systemClock } = await import('${SOURCE}/os/clock.ts');
    await new Promise((resolve) => systemClock.after(150, resolve));`;
    await expect(script(wait)).rejects.toMatchObject({ code: 13 });
  },
);
