// The guardian's script, fed by hand under every shell that a system may call `sh`.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { GUARDIAN_SCRIPT } from '../../src/os/guardian-script.ts';
import { type Area, CAN_CONTAIN, it, statFieldsOf } from '../support/containment.ts';
import {
  endByIdentity,
  eventually,
  isAlive,
  type ProcessRow,
  readRow,
} from '../support/process-table.ts';

interface Shell {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Only the shell's own tools, no grep and sleep of GNU. */
  readonly ownTools?: boolean;
  /** No /proc to look at, only ps, as on macOS. */
  readonly onlyPs?: boolean;
}

const SHELLS: readonly Shell[] = [
  { name: 'dash', command: ['/bin/dash'] },
  { name: 'bash', command: ['/bin/bash'] },
  { name: 'zsh', command: ['/usr/bin/zsh'] },
  { name: 'mksh', command: ['/usr/bin/mksh'] },
  { name: 'busybox sh', command: ['/bin/busybox', 'sh'] },
  { name: 'busybox sh with its own tools', command: ['/bin/busybox', 'sh'], ownTools: true },
  ...['/bin/dash', '/bin/bash', '/usr/bin/zsh'].map((path): Shell => {
    return { name: `${path} where only ps tells`, command: [path], onlyPs: true };
  }),
];
const PRESENT = SHELLS.filter(({ command: [path] }) => CAN_CONTAIN && existsSync(path));
for (const { name, command } of SHELLS)
  if (CAN_CONTAIN && !existsSync(command[0]))
    console.warn(`left out: ${name}, there is no ${command[0]}`);

// Nobody else's, or the guardians of two test files would end each other's processes.
const OWNER = `OwnerOfThisTest${process.pid}`;
const TIMES = { politeMs: 300, forcedMs: 1000 };
/** A look by ps takes many small programs, and those take their time on a busy machine. */
const PS_TIMES = { ...TIMES, forcedMs: 10_000 };

class FedGuardian {
  readonly child: ChildProcess;

  constructor(
    area: Area,
    { command: [command, ...args], ...system }: Shell,
    times = system.onlyPs ? PS_TIMES : TIMES,
  ) {
    this.#onlyPs = system.onlyPs === true;
    const script = this.#onlyPs ? GUARDIAN_SCRIPT.replace('/proc/self', '/none') : GUARDIAN_SCRIPT;
    const path = process.env['PATH'] ?? '';
    this.child = spawn(
      command,
      [
        ...args,
        ...['-c', script, 'agent-supervisor-guardian', OWNER],
        ...[String(times.politeMs), String(times.forcedMs)],
      ],
      {
        // As it is called in practice; bash by its own name would read ~/.bashrc on a socket.
        argv0: ['/bin/bash', '/usr/bin/zsh'].includes(command) ? 'sh' : command,
        detached: true,
        cwd: '/',
        env: {
          LC_ALL: 'C',
          PATH: system.ownTools ? busyboxTools(area) : this.#onlyPs ? macTools(area, path) : path,
        },
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
    this.child.stderr?.on('data', (text) => this.errors.push(String(text)));
  }

  readonly errors: string[] = [];
  readonly #onlyPs: boolean;

  async ready(): Promise<this> {
    if (this.child.stdout)
      expect(String((await once(this.child.stdout, 'data'))[0])).toBe(`ready ${this.child.pid}\n`);
    return this;
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** `by` is how much later it is said to have started. */
  register({ pid, startTime }: Pick<ProcessRow, 'pid' | 'startTime'>, by = 0): void {
    this.tell(`+ ${pid} ${(this.#onlyPs ? secondsOf(pid) : Number(startTime)) + by}`);
  }

  /** The host is gone. */
  async hangUp(): Promise<number | null> {
    const exit = once(this.child, 'exit');
    this.child.stdin?.end();
    return (await exit)[0];
  }
}

function busyboxTools(area: Area): string {
  const folder = join(area.folder, 'tools');
  mkdirSync(folder);
  for (const tool of ['grep', 'sleep', 'date', 'ps'])
    symlinkSync('/bin/busybox', join(folder, tool));
  return folder;
}

/** Stand-ins for what macOS says in another way: the environments of ps, and date's reading of a date. */
function macTools(area: Area, path: string): string {
  const folder = join(area.folder, 'mac-tools');
  mkdirSync(folder);
  const ps = 'case "$*" in *" -E "*) shift 3; exec /bin/ps axeww "$@" ;; esac; exec /bin/ps "$@"';
  const date = 'case $1 in -j*) exec /bin/date -u -d "$3" "$4" ;; esac; exec /bin/date "$@"';
  for (const [name, script] of Object.entries({ ps, date }))
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return `${folder}:${path}`;
}

/** When a process started, as a look at the process table of macOS tells it. */
function secondsOf(pid: number): number {
  const env = { LC_ALL: 'C', TZ: 'UTC' };
  const started = execFileSync('/bin/ps', ['-o', 'lstart=', '-p', `${pid}`], { env });
  return Date.parse(`${started} UTC`) / 1000;
}

/** A process of the test's own in a session of its own; `AGENT_SUPERVISOR_COOKIE` is what it carries. */
function started(area: Area, env: Record<string, string>, script = 'exec sleep 300'): ProcessRow {
  const { pid = 0 } = spawn('sh', ['-c', script], {
    detached: true,
    stdio: 'ignore',
    env: { ...area.env, ...env },
  });
  const row = readRow(pid);
  if (row === undefined) throw new Error('it did not start');
  return row;
}

const carrying = (cookie: string) => ({ AGENT_SUPERVISOR_COOKIE: cookie });

/** Cookies whose carriers the owner's guardian ends. */
const OURS = [
  `${OWNER}.1`,
  `OuterOwner.1/${OWNER}.2`,
  `OuterOwner.1.kept/${OWNER}.2`,
  `${OWNER}.1/InnerOwner.2`,
  `A.1/${OWNER}.2/B.3/C.4`,
];
/** Cookies whose carriers it must not even look at. */
const NOT_OURS = [
  `${OWNER}.1.kept`,
  `OuterOwner.1/${OWNER}.1.kept`,
  `${OWNER}.1/InnerOwner.2.kept`,
  `x${OWNER}.1`,
  `${OWNER}x.1`,
  `${OWNER}`,
  `${OWNER}.`,
  `${OWNER}.1/`,
  `${OWNER}x1`,
  `InnerOwner.${OWNER}`,
  '',
];

describe.runIf(CAN_CONTAIN).for(PRESENT)('the guardian under $name', (shell) => {
  it('ends registered groups and carriers of our cookie, and nobody else', async ({ area }) => {
    const guardian = await new FedGuardian(area, shell).ready();
    const group = started(area, {}, 'sleep 300 & sleep 300 & exec sleep 300');
    const late = started(area, {});
    const stubborn = started(area, {}, 'trap "" TERM; exec sleep 300');
    const stubbornCarrier = started(area, carrying(OURS[0] ?? ''), 'trap "" TERM; exec sleep 300');
    const carriers = OURS.map((cookie) => started(area, carrying(cookie)));
    const strangers = [
      ...NOT_OURS.map((cookie) => area.canary(carrying(cookie))),
      // The name has to be the whole name.
      area.canary({ NOT_AGENT_SUPERVISOR_COOKIE: `${OWNER}.1` }),
      area.canary({ NOTE: `AGENT_SUPERVISOR_COOKIE=${OWNER}.1` }),
      // Nor does a command line that quotes it prove anything.
      area.canary({}, [
        'bash',
        '-c',
        `exec -a "$0" sleep 300`,
        `x AGENT_SUPERVISOR_COOKIE=${OWNER}.1 y`,
      ]),
    ];
    const recycled = area.canary();
    const forgotten = area.canary();
    await eventually(() => readRow(stubborn.pid)?.command === 'sleep');
    await eventually(() => readRow(stubbornCarrier.pid)?.command === 'sleep');

    for (const row of [group, stubborn, forgotten]) guardian.register(row);
    // Before the host knows when it started (macOS), and once it does.
    guardian.tell(`+ ${late.pid} `);
    guardian.register(late);
    // The pid is alive, but it is not the process that was registered; -1, 0 and 1 are nobody's.
    guardian.register(recycled, -1);
    for (const pid of [-1, 0, 1]) guardian.tell(`+ ${pid} 1`);
    guardian.tell('+ not-a-pid 1');
    guardian.tell('nonsense; kill 1');
    guardian.tell(`- ${forgotten.pid}`);

    expect(await guardian.hangUp()).toBe(0);
    expect(area.tree()).toEqual([]);
    expect([group, late, stubborn, stubbornCarrier, ...carriers].filter(isAlive)).toEqual([]);
    expect([...strangers, recycled, forgotten].filter((row) => !isAlive(row))).toEqual([]);
    expect(guardian.errors.join('')).toBe('');
  });

  it('takes zombies for dead', async ({ area }) => {
    const guardian = await new FedGuardian(area, shell, {
      politeMs: 20_000,
      forcedMs: 20_000,
    }).ready();
    // The sleeper never asks how its child ended, and the child leads a group of its own.
    const keeper = started(area, {}, 'setsid sh -c "exit 0" & exec sleep 300');
    const zombie = await eventually(() => zombieChildOf(keeper.pid));
    guardian.register(zombie);
    const hungUpMs = performance.now();
    expect(await guardian.hangUp()).toBe(0);
    expect(performance.now() - hungUpMs).toBeLessThan(10_000);
    expect(isAlive(keeper)).toBe(true);
    endByIdentity([keeper]);
  });

  it('goes without a signal when it is disarmed', async ({ area }) => {
    const guardian = await new FedGuardian(area, shell).ready();
    const group = area.canary();
    const carrier = area.canary(carrying(`${OWNER}.1`));
    guardian.register(group);
    guardian.tell('disarm');
    expect(await guardian.hangUp()).toBe(0);
    expect([group, carrier].map(isAlive)).toEqual([true, true]);
  });

  it('ends who ignores SIGTERM in the group of a leader that does not', async ({ area }) => {
    const guardian = await new FedGuardian(area, shell).ready();
    const marker = Object.entries(area.env).map(([name, value]) => `'${name}=${value}'`);
    // No cookie, so that the group is all that leads to it; the leader is gone after SIGTERM.
    const script = `env -i ${marker.join(' ')} sh -c 'trap "" TERM; exec sleep 300' & wait`;
    const leader = started(area, {}, script);
    await eventually(() =>
      area.tree().some(({ pid, args }) => pid !== leader.pid && args[0] === 'sleep'),
    );
    guardian.register(leader);
    await guardian.hangUp();
    expect(area.tree()).toEqual([]);
  });
});

/** The zombie that this process has not asked for. */
function zombieChildOf(parent: number): { pid: number; startTime: string } | undefined {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8');
  for (const pid of children.trim().split(' ').filter(Boolean).map(Number)) {
    const fields = statFieldsOf(pid);
    if (fields[0] === 'Z') return { pid, startTime: fields[19] ?? '' };
  }
  return undefined;
}
