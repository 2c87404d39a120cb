import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect } from 'vitest';
import { it } from '../../../kit/command-line.ts';
import { type Area, CAN_CONTAIN, SLEEPER, spawned } from '../../../kit/containment.ts';
import { callInside } from '../../../kit/fake-terminal.ts';
import { forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { eventually } from '../../../kit/process-table.ts';
import { plain } from '../../../src/cli/plain.ts';

const ESCAPE = '\x1b';

/** Notes of a day that nobody lived. */
function forgeDay(area: Area, day: string, notes: readonly object[]): void {
  const lines = notes.map((note) =>
    JSON.stringify({ version: 1, event: 'started', owner: 'OwnerOfTests', kind: 'tool', ...note }),
  );
  const path = join(area.stateDir, `history-${day}.jsonl`);
  appendFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
}

const numbered = (count: number, from = 1) =>
  Array.from({ length: count }, (_, index) => ({ at: index, id: `n${from + index}` }));
const idsIn = (stdout: string): string[] => stdout.match(/\bn\d+\b/g) ?? [];

describe.runIf(CAN_CONTAIN)('ps', () => {
  it('shows the tree of every host, whole where it is piped', async ({ area, line }) => {
    const host = await area.readyHost();
    const sessionId = 's'.repeat(200);
    const { id, pid } = await spawned(host, {
      command: 'sh',
      args: ['-c', 'sleep 300 & echo ready; wait'],
      kind: 'tool',
      sessionId,
    });
    forgeJournal(area.stateDir, { records: [{ ...recordOf(area.canary()), startTime: '1' }] });
    const { stdout, stderr, code } = await line.call(['ps']);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const rows = stdout.trimEnd().split('\n');
    expect(rows[0]).toMatch(/^PROCESS +PID +KIND +SESSION +AGE +CPU +MEMORY +COMMAND$/);
    expect(rows[1]).toMatch(/^host DeadOwne +32000 +dead$/);
    expect(rows[2]).toMatch(/^└─ r\d+ .* sleep \(recycled\)$/);
    expect(rows[3]).toMatch(new RegExp(`^host \\w{8} +${host.key.pid} +alive$`));
    expect(rows[4]).toMatch(new RegExp(`^└─ ${id} +${pid} +tool +${sessionId} .* sh$`));
    expect(rows[5]).toMatch(/^ {3}└─ +\d+ +sleep$/);

    const { owners, processes } = JSON.parse((await line.call(['ps', '--json'])).stdout);
    expect(owners).toHaveLength(2);
    expect(processes.find((one: { id: string }) => one.id === id)).toMatchObject({
      ...{ pid, sessionId, identity: 'alive', command: 'sh' },
      descendants: [{ ppid: pid, command: 'sleep' }],
    });
  });

  it('has colours where they are wanted, and only there', async ({ area, line }) => {
    forgeJournal(area.stateDir, {});
    const has = async (env: Readonly<Record<string, string>>) => {
      const { stdout } = await line.call(['ps'], { env });
      return stdout.includes(ESCAPE);
    };
    expect(
      await Promise.all([
        has({}),
        has({ FORCE_COLOR: '1' }),
        has({ FORCE_COLOR: '0' }),
        has({ FORCE_COLOR: '1', NO_COLOR: '1' }),
        has({ NO_COLOR: '' }),
      ]),
    ).toEqual([false, true, false, false, false]);
  });
});

describe.runIf(CAN_CONTAIN)('doctor', () => {
  it('is 0 where all is well, and 1 where a check fails', async ({ area, line }) => {
    const well = await line.call(['doctor', '--json']);
    const report = JSON.parse(well.stdout);
    expect(report.version).toBe(1);
    expect(well.code).toBe(report.status === 'fail' ? 1 : 0);
    writeFileSync(join(area.stateDir, 'host-evil.jsonl'), '', { mode: 0o600 });
    writeFileSync(join(area.stateDir, `evil${ESCAPE}[2J\nname.pid`), '', { mode: 0o666 });
    const { stdout, code } = await line.call(['doctor']);
    expect(stdout).not.toContain(ESCAPE);
    expect(stdout).toMatch(/^[✓!✗] state-dir {4}/m);
    expect(stdout).toMatch(
      code === 1 ? /\d failed, \d+ to look at\.\n$/ : /look at\.\n$|All is well\.\n$/,
    );
  });
});

describe.runIf(CAN_CONTAIN)('events', () => {
  it('shows starts and ends with causes as they come, for people and for programs', async ({
    area,
    line,
  }) => {
    const host = await area.readyHost();
    const following = line.start(['events', '--json']);
    const notes: Record<string, unknown>[] = [];
    if (following.stdout === null) throw new Error('there is no pipe');
    createInterface({ input: following.stdout }).on('line', (text) => notes.push(JSON.parse(text)));
    const { id, pid } = await spawned(host, { ...SLEEPER, sessionId: 'research' });
    await eventually(() => notes.some(({ event }) => event === 'started'));
    await host.ask({ do: 'terminate', id });
    await eventually(() => notes.some(({ event }) => event === 'ended'));
    following.kill('SIGTERM');
    expect(notes).toMatchObject([
      { event: 'started', id, pid, kind: 'tool', sessionId: 'research', command: 'sh' },
      { event: 'ended', id, pid, cause: 'terminated', signal: 'SIGTERM', forced: false },
    ]);
    const { stdout } = await callInside(['events', '--no-follow', '--state-dir', area.stateDir]);
    expect(stdout).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}\w{8} {2}started {2}\S+ {2}tool sh \(pid \d+\) {2}session research$/m,
    );
    expect(stdout).toMatch(/: terminated \(SIGTERM\) after \d/);
  });

  it('begins with as many of the past as are asked for, over all days', async ({ area }) => {
    forgeDay(area, '2026-01-01', numbered(30));
    forgeDay(area, '2026-01-02', numbered(3, 31));
    forgeDay(area, '2026-02-03', numbered(2, 34));
    const last = async (...more: string[]) => {
      const args = ['events', '--no-follow', '--state-dir', area.stateDir, ...more];
      return idsIn((await callInside(args)).stdout);
    };
    expect(await last('-n', '1')).toEqual(['n35']);
    expect(await last('-n', '4')).toEqual(['n32', 'n33', 'n34', 'n35']);
    expect(await last()).toHaveLength(20);
    expect(await last('--lines', '100')).toHaveLength(35);
    expect(await last('--lines', '0')).toEqual([]);
    // More than is read at once.
    forgeDay(area, '2026-02-04', numbered(4000, 36));
    expect(await last('-n', '2')).toEqual(['n4034', 'n4035']);
    expect(await last('-n', '4010')).toHaveLength(4010);
  });

  it('takes no word of a forged line for more than text', async ({ area }) => {
    const evil = `a${ESCAPE}[2J\nb\u202e`;
    const words = { id: evil, owner: evil, kind: evil, sessionId: evil, command: evil };
    forgeDay(area, '2026-01-01', [
      { at: 1, ...words },
      { at: 1, ...words, event: 'ended', cause: evil, signal: evil },
    ]);
    const { stdout } = await callInside(['events', '--no-follow', '--state-dir', area.stateDir]);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    expect(plain(stdout.replaceAll('\n', ''))).toBe(stdout.replaceAll('\n', ''));
  });

  it('goes on when the state directory is removed and made again', async ({ area, line }) => {
    forgeDay(area, '2026-01-01', numbered(1));
    const following = line.start(['events']);
    let said = '';
    following.stdout?.on('data', (text) => {
      said += text;
    });
    await eventually(() => idsIn(said).length === 1);
    renameSync(area.stateDir, join(area.folder, 'gone'));
    const host = await area.readyHost();
    await spawned(host, SLEEPER);
    await eventually(() => said.includes('tool sh'));
    following.kill('SIGTERM');
  });

  it('end by themselves when their reader goes, though nothing more happens', async ({
    area,
    line,
  }) => {
    forgeDay(area, '2026-01-01', numbered(5));
    const command = 'agent-supervisor events | head -2 | wc -l; agent-supervisor ps | head -1';
    const { stdout, stderr } = await line.bash(command);
    expect({ stdout, stderr }).toEqual({
      stdout: expect.stringMatching(/^2\nNothing is supervised with .*\.\n$/),
      stderr: '',
    });
    const canary = area.canary();
    const many = Array.from({ length: 2000 }, (_, at) => ({ ...recordOf(canary), id: `m${at}` }));
    forgeJournal(area.stateDir, { records: many });
    const cut = await line.bash('set -o pipefail; agent-supervisor ps | head -1');
    expect(cut).toMatchObject({ code: 0, stderr: '' });
    expect(cut.stdout).toMatch(/^PROCESS .*\n$/);
    expect(await line.bash('agent-supervisor ps >&-')).toMatchObject({ code: 0, stderr: '' });
    expect(await line.bash('agent-supervisor top >&-')).toMatchObject({ code: 2 });
    expect(await line.bash('agent-supervisor top --json | head -1 | wc -l')).toMatchObject({
      stdout: '1\n',
    });
  });
});

describe.runIf(CAN_CONTAIN)('a secret', () => {
  it('in environment, arguments, output or folder of a process is in nothing that is shown', async ({
    area,
    line,
  }) => {
    const secret = 'plantedSecretOf4711';
    const folder = join(area.folder, `token=${secret}`);
    mkdirSync(folder);
    const host = await area.readyHost();
    const request = {
      command: 'sh',
      args: ['-c', 'echo ready; echo "API_KEY=$API_KEY" >&2; exec sleep 300', secret],
      env: { ...area.env, API_KEY: secret },
      cwd: folder,
      kind: 'tool',
      sessionId: 'research',
    };
    await spawned(host, request);
    const { id } = await spawned(host, request);
    await line.call(['stop', id, '--grace', '200ms']);
    const shown = await Promise.all(
      [
        'ps',
        'ps --json',
        'doctor',
        'doctor --json',
        'events --no-follow',
        'events --no-follow --json',
        'recover --dry-run --json',
      ].map(async (command) => {
        const { stdout, stderr } = await line.call(command.split(' '));
        expect(stdout).not.toBe('');
        return stdout + stderr;
      }),
    );
    const histories = readdirSync(area.stateDir).filter((name) => name.startsWith('history-'));
    expect(histories).toHaveLength(1);
    const written = histories.map((name) => readFileSync(join(area.stateDir, name), 'utf8'));
    expect([...shown, ...written].filter((text) => text.includes(secret))).toEqual([]);
  });
});
