// Agents that nobody supervises, and their CLI's own records of them: real processes, written records.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually, readRow } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { SpawnRequest, Supervisor } from '../../../src/index.ts';

const MACHINE_ID = '/etc/machine-id';
const canObserve = (): boolean => {
  try {
    return CAN_WATCH && readFileSync(MACHINE_ID, 'utf8').trim() !== '';
  } catch {
    return false;
  }
};
const DOMAIN = () =>
  `linux:${readFileSync(MACHINE_ID, 'utf8').trim()}:${readlinkSync('/proc/self/ns/pid')}`;

const it = base.extend('cli', ({ home, marker }, { onCleanup }) => {
  const folder = join(home, '.claude', 'sessions');
  mkdirSync(folder, { recursive: true });
  const sessionId = randomUUID();
  const env = { PATH: process.env['PATH'], HOME: home, [MARKER]: marker };
  return {
    folder,
    sessionId,
    /** Starts a process as a user's own agent, without a record. */
    start(): ChildProcess & { pid: number } {
      const child = spawn('sleep', ['300'], { env, stdio: 'ignore' });
      onCleanup(async () => {
        child.kill('SIGKILL');
        await eventually(() => child.exitCode !== null || child.signalCode !== null);
      });
      return child as ChildProcess & { pid: number };
    },
    /** Writes the record of a process as the CLI does. */
    record(pid: number, fields: object = {}): string {
      const procStart = readRow(pid)?.startTime;
      const own = { pid, sessionId, procStart, pidDomain: DOMAIN(), kind: 'interactive' };
      const path = join(folder, `${pid}.json`);
      writeFileSync(path, JSON.stringify({ ...own, ...fields }));
      return path;
    },
    /** Asks for an agent of the session, as the SDK does. */
    ask(supervisor: Supervisor, defaults: Partial<SpawnRequest> = {}, script = 'exit 0') {
      const args = ['-c', script, 'sh', '--resume', sessionId];
      return supervisor.spawnHook(defaults)({ command: 'sh', args, env });
    },
  };
});

describe.runIf(canObserve())('an agent that nobody supervises', () => {
  it('makes its conversation busy, and is left alone', async ({ supervise, cli }) => {
    const { pid } = cli.start();
    cli.record(pid);
    const { error } = await cli.ask(supervise()).exited;
    expect(error).toMatchObject({
      code: 'CONVERSATION_BUSY',
      data: { conversationId: cli.sessionId, pid, kind: 'interactive' },
    });
    expect(error?.message).toContain(`process ${pid}, which no supervisor has started`);
    const takeover = await cli.ask(supervise(), { onDuplicate: 'takeover' }).exited;
    expect(takeover.error?.code).toBe('CONVERSATION_BUSY');
    expect(readRow(pid)).toBeDefined();
  });

  it('is not looked at with observeCli: false (control), and shares with allow', async ({
    supervise,
    cli,
  }) => {
    cli.record(cli.start().pid);
    const blind = supervise({ conversation: { observeCli: false } });
    expect((await cli.ask(blind).exited).cause).toBe('completed');
    const shared = supervise();
    const codes: string[] = [];
    shared.on('warning', ({ code }) => codes.push(code));
    expect((await cli.ask(shared, { onDuplicate: 'allow' }).exited).cause).toBe('completed');
    expect(codes).toContain('CONVERSATION_SHARED');
  });

  it('is waited for, without a slot', async ({ supervise, cli }) => {
    const child = cli.start();
    cli.record(child.pid);
    const supervisor = supervise({ pool: { concurrency: 1 } });
    await supervisor.start();
    const reasons: string[] = [];
    supervisor.on('queued', ({ reason }) => reasons.push(reason));
    const later = cli.ask(supervisor, { onDuplicate: 'wait' });
    expect(reasons[0]).toContain(`process ${child.pid}, which no supervisor has started`);
    expect((await supervisor.spawn({ command: 'true' }).exited).cause).toBe('completed');
    child.kill('SIGKILL');
    expect((await later.exited).cause).toBe('completed');
  });

  it('is one of ours if it is in a supervised tree', async ({ supervise, cli }) => {
    const supervisor = supervise();
    const outer = supervisor.spawn({ command: 'sh', args: ['-c', 'sleep 300 & echo $!; wait'] });
    const [line] = await outer.stdout.take(1).toArray();
    cli.record(Number(String(line)));
    expect((await cli.ask(supervisor).exited).cause).toBe('completed');
    await outer.terminate();
  });

  it.for([
    ['a dead process', (cli) => cli.record(cli.start().pid, { pid: 2 ** 22 + 1 })],
    ['another process of that number', (cli) => cli.record(cli.start().pid, { procStart: '1' })],
    ['another machine', (cli) => cli.record(cli.start().pid, { pidDomain: 'linux:x:pid:[1]' })],
    ['another session', (cli) => cli.record(cli.start().pid, { sessionId: randomUUID() })],
    [
      'a process whose number is not in its name',
      (cli) => {
        const text = readFileSync(cli.record(cli.start().pid), 'utf8');
        writeFileSync(join(cli.folder, '4194000.json'), text);
        cli.record(JSON.parse(text).pid, { sessionId: 'x' });
      },
    ],
    [
      'nobody: it is torn, a link, a pipe, a folder, huge, or cannot be read',
      (cli) => {
        const { pid } = cli.start();
        const record = cli.record(pid);
        const target = join(cli.folder, 'elsewhere');
        writeFileSync(target, readFileSync(record));
        writeFileSync(record, '{"pid":');
        symlinkSync(target, join(cli.folder, '300001.json'));
        execFileSync('mkfifo', [join(cli.folder, '300002.json')]);
        mkdirSync(join(cli.folder, '300003.json'));
        writeFileSync(join(cli.folder, '300004.json'), ' '.repeat(100_000));
        writeFileSync(join(cli.folder, '300005.json'), '{}');
        chmodSync(join(cli.folder, '300005.json'), 0);
      },
    ],
  ] as [string, (cli: Pick<Cli, 'folder' | 'start' | 'record'>) => unknown][])(
    'is not seen in a record of %s',
    async ([, write], { supervise, cli }) => {
      write(cli);
      expect((await cli.ask(supervise()).exited).cause).toBe('completed');
    },
  );
});

interface Cli {
  readonly folder: string;
  start(): { readonly pid: number };
  record(pid: number, fields?: object): string;
}
