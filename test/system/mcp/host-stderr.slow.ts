// Servers that write to the host's own stderr, as with the SDK's default.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect } from 'vitest';
import { sourceFlags } from '../../../kit/built-sources.ts';
import { eventually } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';

const HOST = join(import.meta.dirname, '../../fixtures/hosts/mcp-stderr.ts');
const PATIENCE = { timeoutMs: 30_000, everyMs: 5 };
const WAYS = ['inherit', 'number', 'stream'] as const;

const it = base.extend('host', ({ home, marker }, { onCleanup }) => {
  return (how: string) => {
    const env = { PATH: process.env['PATH'], HOME: home, [MARKER]: marker };
    const child = spawn(process.execPath, [...sourceFlags(), HOST, join(home, 'state'), how], {
      env,
    });
    const exited = once(child, 'close');
    const lines: string[] = [];
    let stderr = '';
    child.stdin.on('error', () => undefined);
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    onCleanup(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    return {
      child,
      exited,
      lines,
      stderr: () => stderr,
      /** Makes the server write to stderr, and waits for its answer or for the host's exit. */
      async ask() {
        const before = lines.length;
        child.stdin.write('\n');
        await eventually(() => lines.length > before || child.exitCode !== null, PATIENCE);
      },
      ready: () => eventually(() => lines.includes('ready'), PATIENCE),
    };
  };
});

describe.runIf(CAN_WATCH)("the host's stderr", () => {
  it.for(WAYS)('%s: gets the stderr of its server', async (how, { host }) => {
    const { child, exited, stderr, ready, ask } = host(how);
    await ready();
    await ask();
    await ask();
    child.stdin.end();
    expect(await exited).toEqual([0, null]);
    await eventually(() => stderr() === 'server: heard\n'.repeat(2), { what: 'both lines' });
  });

  it.for(WAYS)('%s: may be broken, and the host lives on', async (how, { host }) => {
    const { child, exited, lines, ready, ask } = host(how);
    await ready();
    child.stderr.destroy();
    for (let asked = 0; asked < 20; asked++) await ask();
    child.stdin.end();
    expect(await exited).toEqual([0, null]);
    expect(lines).toEqual(['ready', ...Array(20).fill('alive'), 'done']);
  });

  it('ends, when broken, a host that pipes to it (control)', async ({ host }) => {
    const { child, exited, ready, ask } = host('piped');
    await ready();
    child.stderr.destroy();
    for (let asked = 0; asked < 20; asked++) await ask();
    const [code] = await exited;
    expect(code).not.toBe(0);
  });
});
