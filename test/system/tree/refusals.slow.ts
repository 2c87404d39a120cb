// The system's refusals are reported with the same messages, whether a process has a tag or not.
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runHost } from '../../../kit/host.ts';

const NOBODY = 65534;
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const IS_ROOT = process.getuid?.() === 0;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function endsOf(rlimitTag: boolean, through: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-refusals-'));
  folders.push(folder);
  if (through.length > 0) chownSync(folder, NOBODY, NOBODY);
  const [runtime = process.execPath, ...flags] = [...through, process.execPath];
  const { lines, stderr } = await runHost('refusals.ts', {
    args: [folder, String(rlimitTag)],
    env: { HOME: folder, PATH: '/usr/bin:/bin' },
    cwd: folder,
    runtime,
    flags,
  });
  expect(stderr).toBe('');
  return JSON.parse(lines.at(-1) ?? '') as Record<
    string,
    { cause: string; code: number; error?: [string, string] }
  >;
}

describe.skipIf(process.platform !== 'linux')('a refusal of the system', () => {
  const users: [string, readonly string[]][] = [
    ['the user of the tests', []],
    ...(IS_ROOT ? ([['an ordinary user', AS_NOBODY]] as [string, readonly string[]][]) : []),
  ];
  it.each(users)(
    'is reported with the same message with a tag and without, to %s',
    async (_, through) => {
      const [tagged, bare] = await Promise.all([endsOf(true, through), endsOf(false, through)]);
      expect(tagged).toEqual(bare);
      const codes = Object.fromEntries(
        Object.entries(bare).map(([name, { error, cause, code }]) => [
          name,
          error?.[0] ?? `${cause} ${code}`,
        ]),
      );
      expect(codes).toMatchObject({
        'a name that is nowhere on PATH': 'COMMAND_NOT_FOUND',
        'a file that may not be executed': 'SPAWN_FAILED',
        'a script whose interpreter is not there': 'COMMAND_NOT_FOUND',
        'a program whose loader is not there': 'COMMAND_NOT_FOUND',
        'a script without a first line': 'failed 7',
        'a program that is being written': 'SPAWN_FAILED',
        'arguments that are too long': 'SPAWN_FAILED',
        'a folder that is not there': 'CWD_NOT_FOUND',
        'a folder of the same name before it on PATH': 'failed 4',
        'a plain file of the same name before it on PATH': 'failed 6',
        'no PATH at all': 'completed 0',
        'a path relative to its own folder': 'failed 6',
        'a name that begins with a hyphen': 'failed 3',
      });
      expect(bare['a program that is being written']?.error?.[1]).toContain('ETXTBSY');
    },
  );
});
