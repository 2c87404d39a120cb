// On Windows execa passes a missing program to cmd.exe, so it is searched before the launch.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { launch } from '../../../src/os/launch.ts';
import { isProgram } from '../../../src/os/windows.ts';

const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-program-'));
const bin = join(folder, 'with spaces');
mkdirSync(bin);
for (const name of ['tool.EXE', 'shim.CMD', 'script.py']) writeFileSync(join(bin, name), '');
afterAll(() => rmSync(folder, { recursive: true }));

const ENV = { Path: `C:\\Windows;"${bin}"`, PATHEXT: '.EXE;.CMD' };

describe('isProgram', () => {
  it.each([
    ['tool', true],
    ['tool.EXE', true],
    ['shim', true],
    ['script.py', true],
    ['script', false],
    ['echo', false],
    ['tool.txt', false],
    [join(bin, 'tool'), true],
    [join(bin, 'missing'), false],
    ['./with spaces/shim', true],
    ['./tool', false],
  ])('%s: %s', (command, isThere) => {
    expect(isProgram({ command, cwd: folder, env: ENV })).toBe(isThere);
  });

  it('also looks in the folder in which it would run', () => {
    expect(isProgram({ command: 'tool', cwd: bin, env: { PATH: '', PATHEXT: '.EXE' } })).toBe(true);
  });

  it("takes the host's PATH for a child without one", () => {
    const env = { PATHEXT: '.EXE' };
    const before = process.env['PATH'];
    process.env['PATH'] = bin;
    expect(isProgram({ command: 'tool', cwd: folder, env })).toBe(true);
    process.env['PATH'] = before;
  });
});

it('a missing program is reported as such, and nothing is started', async () => {
  const request = { command: 'no-such-program', args: ['secret'], cwd: undefined, env: ENV };
  const { child, failure } = launch(request, 'win32');
  expect(child).toBeUndefined();
  expect(await failure).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
  const elsewhere = launch({ ...request, cwd: join(folder, 'missing') }, 'win32');
  expect(await elsewhere.failure).toMatchObject({ code: 'CWD_NOT_FOUND' });
});
