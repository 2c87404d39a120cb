import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { it } from '../../../kit/command-line.ts';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { callInside } from '../../../kit/fake-terminal.ts';
import { USAGE } from '../../../src/cli/usage.ts';

const IS_ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;
const ALL = ['ps', 'top', 'doctor', 'events', 'reap', 'stop', 'recover', 'run', 'completion'];

describe.runIf(CAN_CONTAIN)('bad input: one clear line, and the exit code 2', () => {
  it.for([
    [['frobnicate'], 'There is no command "frobnicate"'],
    [['evnets'], 'Did you mean "events"?'],
    [['rea'], 'Did you mean "reap"?'],
    [['xy'], 'There is no command "xy". "agent-supervisor --help" lists them.'],
    [['evil\x1b[2J\nname'], 'There is no command "evil?name"'],
    [[''], 'There is no command "".'],
    [['help', 'frobnicate'], 'There is no command "frobnicate"'],
    [['--json', 'ps'], '"--json" must come after a command'],
    [['ps', '--frob'], "Unknown option '--frob'"],
    [['ps', 'extra'], 'ps takes no "extra"'],
    [['ps', '--json=yes'], "'--json' does not take an argument"],
    [['ps', '--state-dir'], "'--state-dir <value>' argument missing"],
    [['ps', '--state-dir', ''], '--state-dir is empty'],
    [['ps', '--state-dir', 'not-there'], 'There is no state directory'],
    [['events', '-n', '-5'], "'-n' argument is ambiguous"],
    [['events', '-n', 'many'], '--lines is "many"'],
    [['top', '--interval', '5'], '--interval is "5"'],
    [['top', '--interval', '10ms'], 'at least 100ms'],
    [['top', '--sort', 'name'], 'must be cpu, memory or age'],
    [['top'], 'top needs a terminal'],
    [['reap'], 'reap takes one session'],
    [['reap', 'a', 'b'], 'reap takes no "b"'],
    [['reap', 'unknown'], 'Nothing of session "unknown" is alive'],
    [['stop'], 'stop takes one host or one process id'],
    [['stop', 'unknown'], 'No host and no live process is named "unknown"'],
    [['completion'], 'Name bash, zsh or fish'],
    [['completion', 'toString'], 'Name bash, zsh or fish'],
  ] as const)('%j', async ([args, message], { area }) => {
    const [name = '', ...rest] = args;
    const where = name in USAGE && !String(rest).includes('--state-dir');
    const { code, stdout, stderr } = await callInside(
      where ? [name, '--state-dir', area.stateDir, ...rest] : args,
    );
    expect(stderr).toMatch(/^agent-supervisor: [^\n]*\n$/);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  it('a state directory that is a file', async ({ line, area }) => {
    writeFileSync(join(area.folder, 'file'), '');
    const { code, stderr } = await line.call(['ps', '--state-dir', 'file']);
    expect(stderr).toMatch(/^agent-supervisor: .* is no folder\. .*\n$/);
    expect(code).toBe(2);
  });

  it.runIf(IS_ROOT).for(['ps', 'stop 1234'])(
    "another user's state directory: %s",
    async (command, { line, area }) => {
      chmodSync(area.folder, 0o755);
      const { code, stderr } = await line.call(command.split(' '), { uid: NOBODY });
      expect(stderr).toMatch(/^agent-supervisor: .*belongs to uid 0, and you are uid 65534.*\n$/);
      expect(code).toBe(2);
    },
  );

  it.runIf(IS_ROOT)(
    'a state directory in a folder that cannot be entered',
    async ({ line, area }) => {
      chmodSync(area.folder, 0o755);
      const locked = join(area.folder, 'locked');
      mkdirSync(join(locked, 'state'), { recursive: true });
      chmodSync(locked, 0o700);
      const { code, stderr } = await line.call(['ps', '--state-dir', join(locked, 'state')], {
        uid: NOBODY,
        cwd: '/',
      });
      expect(stderr).toMatch(/^agent-supervisor: .*cannot be read: EACCES.*\n$/);
      expect(code).toBe(2);
    },
  );
});

describe('help', () => {
  it.for(ALL)('of %s says how it is called, within 100 columns', async (command) => {
    const { code, stdout } = await callInside([command, '--help', 'and', 'more']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: agent-supervisor ${command}`);
    expect(stdout).toContain('--state-dir <folder>');
    expect(Math.max(...stdout.split('\n').map((one) => one.length))).toBeLessThanOrEqual(100);
    expect((await callInside(['help', command])).stdout).toBe(stdout);
  });

  it('lists all commands', async () => {
    const { code, stdout } = await callInside(['--help']);
    expect(code).toBe(0);
    for (const command of ALL) expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(await callInside([])).toMatchObject({ code: 2, stdout });
  });
});

describe.runIf(CAN_CONTAIN)('a look leaves no trace', () => {
  it.for(['ps', 'ps --json', 'doctor', 'events --no-follow', 'recover', 'recover --json'])(
    '%s where nothing was ever started',
    async (command, { area }) => {
      const state = join(area.folder, 'never');
      vi.stubEnv('AGENT_SUPERVISOR_STATE_DIR', state);
      onTestFinished(() => void vi.unstubAllEnvs());
      const { code, stderr } = await callInside(command.split(' '));
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(existsSync(state)).toBe(false);
    },
  );
});
