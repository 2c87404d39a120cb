// The PowerShell queries, with a stand-in that behaves as PowerShell does when a query fails.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { windowsListeners } from '../../../src/os/listeners.ts';
import { windowsProcesses } from '../../../src/os/windows.ts';

const PATH = 'System32\\WindowsPowerShell\\v1.0\\powershell.exe';

describe.runIf(process.platform === 'linux')('a PowerShell', () => {
  const before = process.env['SystemRoot'];
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-powershell-'));
    process.env['SystemRoot'] = `${folder}/C:`;
  });
  afterEach(() => {
    if (before === undefined) delete process.env['SystemRoot'];
    else process.env['SystemRoot'] = before;
    rmSync(folder, { recursive: true });
  });

  const standIn = (script: string): void =>
    writeFileSync(join(folder, `C:\\${PATH}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });

  // After an error the next statement runs, unless the preference says otherwise.
  const failing = `
case $5 in
  "\\$ErrorActionPreference = 'Stop'; "*"Get-NetTCPConnection -State Listen |"*) exit 1 ;;
  *) exit 0 ;;
esac`;

  it.each([
    ['does not exist', undefined],
    ['is forbidden by a policy', 'echo "This program is blocked" >&2; exit 1'],
  ])(
    'makes a snapshot fail with a message that names the way out if it %s',
    async (_what, script) => {
      if (script !== undefined) standIn(script);
      await expect(windowsProcesses().snapshot()).rejects.toMatchObject({
        code: 'SPAWN_FAILED',
        message: expect.stringContaining(`run ${folder}/C:\\${PATH};`),
        cause: expect.any(Error),
      });
    },
  );

  it('returns undefined for listeners if its query is refused', async () => {
    standIn(failing);
    expect(await windowsListeners({ port: 8080 })).toBeUndefined();
  });

  it('returns the listeners, or an empty list if there are none', async () => {
    standIn('exit 0');
    expect(await windowsListeners({ port: 8080 })).toEqual([]);
    standIn(`printf '4412 node\\r\\n'`);
    expect(await windowsListeners({ port: 8080 })).toEqual([{ pid: 4412, command: 'node' }]);
  });
});
