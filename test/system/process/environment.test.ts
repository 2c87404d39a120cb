// A real host with the switches of a debugger: what reaches its child.
import { join } from 'node:path';
import { expect } from 'vitest';
import { startHost } from '../../../kit/host.ts';
import { it as base } from '../../../kit/supervised.ts';

const it = base.extend('childOf', ({ home }) => {
  return async (how: 'supervised' | 'bare'): Promise<unknown> => {
    const host = startHost('environment.ts', {
      args: [join(home, 'state'), how],
      env: {
        PATH: process.env['PATH'] ?? '',
        NODE_OPTIONS: '--inspect=127.0.0.1:0 --title="a host"',
        VSCODE_INSPECTOR_OPTIONS: '{}',
        ELECTRON_RUN_AS_NODE: '1',
        CODEX_SANDBOX: 'seatbelt',
      },
    });
    return JSON.parse(await host.line('['));
  };
});

it("keeps the host's debugger and outer agent from a child", async ({ childOf }) => {
  expect(await childOf('supervised')).toEqual(['--title="a host"', null, null, null]);
});

it('negative control: a bare child has them all', async ({ childOf }) => {
  expect(await childOf('bare')).toEqual([
    '--inspect=127.0.0.1:0 --title="a host"',
    '{}',
    '1',
    'seatbelt',
  ]);
});
