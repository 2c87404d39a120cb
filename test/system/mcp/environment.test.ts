// The variables that a server inherits by default, compared with the SDK's lists.
import { execFileSync } from 'node:child_process';
import { DEFAULT_INHERITED_ENV_VARS as NAMES_2 } from '@modelcontextprotocol/client/stdio';
import { DEFAULT_INHERITED_ENV_VARS as NAMES_1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { describe, expect, it } from 'vitest';
import { safeEnvironment, safeNames } from '../../../src/mcp/environment.ts';

const [V1, V2] = [
  '@modelcontextprotocol/sdk/client/stdio.js',
  '@modelcontextprotocol/client/stdio',
];

describe('the names of safe variables', () => {
  it('are fixed', () => {
    expect(safeNames('linux')).toEqual(['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER']);
    expect(safeNames('darwin')).toEqual(safeNames('linux'));
    expect(safeNames('win32')).toEqual([
      'APPDATA',
      'COMSPEC',
      'HOMEDRIVE',
      'HOMEPATH',
      'LOCALAPPDATA',
      'PATH',
      'PATHEXT',
      'PROCESSOR_ARCHITECTURE',
      'PROGRAMDATA',
      'PROGRAMFILES',
      'PROGRAMFILES(X86)',
      'PROGRAMW6432',
      'SYSTEMDRIVE',
      'SYSTEMROOT',
      'TEMP',
      'USERNAME',
      'USERPROFILE',
      'WINDIR',
    ]);
  });

  it.runIf(process.platform !== 'win32')("are the SDK's", () => {
    expect(safeNames('linux')).toEqual(NAMES_1);
    expect(safeNames('linux')).toEqual(NAMES_2);
  });

  it('are those of the SDK 2.x on Windows, which contain those of 1.x', () => {
    expect(namesOnWindows(V2)).toEqual(safeNames('win32'));
    expect(safeNames('win32')).toEqual(expect.arrayContaining(namesOnWindows(V1)));
  });

  /** The SDK chooses the list at its import, by the platform. */
  function namesOnWindows(sdk = ''): string[] {
    const script = `Object.defineProperty(process, 'platform', { value: 'win32' });
      const { DEFAULT_INHERITED_ENV_VARS } = await import('${sdk}');
      console.log(JSON.stringify(DEFAULT_INHERITED_ENV_VARS));`;
    const flags = ['--input-type=module', '--eval', script];
    const options = { cwd: import.meta.dirname, encoding: 'utf8' } as const;
    return JSON.parse(execFileSync(process.execPath, flags, options)) as string[];
  }
});

describe('the safe environment', () => {
  it('has the safe variables of the host, and nothing else', () => {
    const host = { HOME: '/home/me', PATH: '/bin', API_KEY: 'secret', TERM: undefined };
    expect(safeEnvironment(host, 'linux')).toEqual({ HOME: '/home/me', PATH: '/bin' });
  });

  it('has no shell functions', () => {
    expect(safeEnvironment({ TERM: '() { :; }', USER: 'me' }, 'linux')).toEqual({ USER: 'me' });
  });
});
