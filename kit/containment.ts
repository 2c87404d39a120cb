// Hosts that are killed, and the processes that they leave, seen from outside.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import type { SpawnRequest, SupervisorOptions } from '../src/index.ts';
import type { HostCommand } from '../test/fixtures/hosts/contained.ts';
import { compileCache, runtimeCommand } from './host.ts';
import { CAN_UNSHARE, UNSHARE } from './pid-namespace.ts';
import {
  endByIdentity,
  endByMarker,
  environmentOf,
  eventually,
  findByMarker,
  type ProcessKey,
  type ProcessRow,
  readRow,
} from './process-table.ts';
import { type Program, startProgram } from './start-program.ts';
import { standing } from './state-dir.ts';

export { CAN_UNSHARE, UNSHARE };

export const CAN_CONTAIN = process.platform === 'linux';

/** The variable that every process of a test inherits. */
export const CONTAINMENT_MARKER = 'AGENT_SUPERVISOR_TEST_CONTAINMENT';
/** Short, so that tests are fast. */
export const LADDER = { stdinEofMs: 200, termMs: 500, killMs: 500 };
/** The guardian's grace, and two seconds. */
export const GRACE_MS = LADDER.termMs + LADDER.killMs + 2000;

const HOSTS = join(import.meta.dirname, '../test/fixtures/hosts');
const TREE = join(HOSTS, 'contained-tree.sh');
export const TREE_ROLES = [
  'child',
  'double-fork',
  'grandchild',
  'leader',
  'parent',
  'setsid',
  'setsid-double-fork',
  'stubborn',
  'stubborn-setsid',
] as const;

/** The name of the shell's script, or the file of the guardian that is not a script. */
const GUARDIAN = /^agent-supervisor-guardian$/;

const TREE_REQUEST: SpawnRequest = { command: 'sh', args: [TREE] };

/** A process that prints a line, and lives until it is ended, at most 300 s. */
export const SLEEPER: SpawnRequest = {
  command: 'sh',
  args: ['-c', 'echo ready; exec sleep 300'],
  kind: 'tool',
};

export interface Message {
  readonly event?: string;
  readonly done?: HostCommand['do'];
  readonly error?: string;
  readonly [key: string]: unknown;
}

export interface HostOptions {
  readonly options?: SupervisorOptions;
  /** @default this Node */
  readonly runtime?: string;
  readonly flags?: readonly string[];
  /** A command prefix for the host, such as `unshare`. */
  readonly through?: readonly string[];
  /** A name in test/fixtures/hosts, or an absolute path. @default 'contained.ts' */
  readonly script?: string;
  readonly args?: readonly string[];
}

/** A host process that takes commands from the test. */
export class ContainedHost {
  readonly child: ChildProcess;
  readonly messages: Message[] = [];
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly area: Area;
  readonly #program: Program;

  constructor(
    area: Area,
    { options, runtime, flags = [], through = [], script, args: more = [] }: HostOptions = {},
  ) {
    this.area = area;
    const supervisorOptions = {
      stateDir: area.stateDir,
      guardian: true,
      ladder: LADDER,
      ...options,
    };
    const command = [
      ...through,
      ...runtimeCommand(runtime),
      ...flags,
      resolve(HOSTS, script ?? 'contained.ts'),
      JSON.stringify(supervisorOptions),
      ...more,
    ];
    this.#program = startProgram(command, { env: area.env, cwd: area.folder, stdin: 'pipe' });
    this.child = this.#program.child;
    if (this.child.stdout) {
      const lines = createInterface({ input: this.child.stdout });
      lines.on('line', (line) => this.messages.push(JSON.parse(line)));
    }
    this.exited = new Promise((resolve) =>
      this.child.once('exit', (code, signal) => resolve({ code, signal })),
    );
  }

  get stderr(): string {
    return this.#program.stderr;
  }

  get key(): ProcessKey {
    const row = readRow(this.child.pid ?? 0);
    if (row === undefined) throw new Error(`the host is gone: ${this.stderr}`);
    return row;
  }

  send(command: HostCommand): void {
    this.child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Sends a command, and waits for its answer. */
  async ask(command: HostCommand): Promise<Message> {
    const from = this.messages.length;
    this.send(command);
    return this.next((message) => 'done' in message || 'error' in message, from);
  }

  async next(wanted: (message: Message) => boolean, from = 0): Promise<Message> {
    return eventually(
      () => {
        const found = this.messages.slice(from).find(wanted);
        if (found === undefined && this.child.exitCode !== null)
          throw new Error(`the host ended: ${this.stderr}`);
        return found;
      },
      { timeoutMs: 20_000, everyMs: 5, what: 'the host answers' },
    );
  }

  /** Starts the whole tree, and waits until it is complete. */
  async growTree(): Promise<ProcessRow[]> {
    const answer = await this.ask({ do: 'spawn', request: TREE_REQUEST });
    expect(answer).toMatchObject({ done: 'spawn' });
    return eventually(
      () => {
        const tree = this.area.tree();
        const roles = new Set(tree.map(roleOf));
        return TREE_ROLES.every((role) => roles.has(role)) && settled(tree) && tree;
      },
      { what: 'the tree stands' },
    );
  }

  /** Waits until its supervisor lists no process. */
  async listsNothing(): Promise<void> {
    await eventually(
      async () => {
        const listed = await this.ask({ do: 'list' });
        return (listed['report'] as unknown[]).length === 0;
      },
      { what: 'the host lists nothing' },
    );
  }

  /** Signals exactly this process from outside. */
  kill(signal: NodeJS.Signals): void {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
  }
}

/** Makes a host start one process, and waits for its first line. */
export async function spawned(host: ContainedHost, request: SpawnRequest) {
  const answer = await host.ask({ do: 'spawn', request });
  expect(answer).toMatchObject({ done: 'spawn' });
  return { id: String(answer['id']), pid: Number(answer['pid']) };
}

/** Returns `true` once every `exec` of the tree is done. Only then does it ignore signals. */
function settled(tree: readonly ProcessRow[]): boolean {
  // All but the parent of the grandchild become `sleep`.
  const programs = tree.filter((row) => row.args[0] === 'sleep');
  return programs.length === TREE_ROLES.length - 1;
}

export function roleOf(row: ProcessRow): string {
  return (
    environmentOf(row)
      .find((line) => line.startsWith('ROLE='))
      ?.slice('ROLE='.length) ?? ''
  );
}

/** A test's own folder and marker. Every process with the marker must be dead at the test's end. */
export class Area {
  readonly folder = mkdtempSync(join(tmpdir(), 'containment-'));
  readonly marker = basename(this.folder);
  readonly stateDir = join(this.folder, 'state');
  readonly env = { ...pathOnly(), HOME: this.folder, [CONTAINMENT_MARKER]: this.marker };
  readonly #hosts: ContainedHost[] = [];
  readonly #canaries: ChildProcess[] = [];
  readonly #strangers = new Set<number | undefined>();

  constructor() {
    mkdirSync(this.stateDir, { mode: 0o700 });
  }

  host(options?: HostOptions): ContainedHost {
    const host = new ContainedHost(this, options);
    this.#hosts.push(host);
    return host;
  }

  /** Starts a host, and waits for `ready`. */
  async readyHost(options?: HostOptions): Promise<ContainedHost> {
    const host = this.host(options);
    await host.next((message) => message.event === 'ready');
    return host;
  }

  /** Starts a process of the test that nothing may end. */
  canary(
    env: Readonly<Record<string, string>> = {},
    [command = 'sleep', ...args]: readonly string[] = ['sleep', '300'],
  ): ProcessRow {
    const child = spawn(command, args, {
      detached: true,
      stdio: 'ignore',
      env: { ...this.env, ...env },
    });
    this.#canaries.push(child);
    const row = readRow(child.pid ?? 0);
    if (row === undefined) throw new Error('the canary did not start');
    return row;
  }

  /** Keeps a PID namespace open, so that its number is not reused. */
  park(): ProcessRow {
    // Its process belongs to none of the test's trees.
    return this.canary({ [CONTAINMENT_MARKER]: '' }, [...UNSHARE, 'sleep', '300']);
  }

  /** Starts two processes in groups of their own, in one session whose leader is dead. */
  async orphanedSession(): Promise<readonly [ProcessRow, ProcessRow]> {
    const script = 'set -m; sleep 300 & echo $!; sleep 300 & echo $!';
    const child = spawn('bash', ['-c', script], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: this.env,
    });
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await eventually(() => child.exitCode !== null && said.split('\n').length === 3);
    child.stdout.destroy();
    const [first, second] = said.split('\n').map((pid) => readRow(Number(pid)));
    if (first === undefined || second === undefined) throw new Error('they did not start');
    this.#strangers.add(first.pid).add(second.pid);
    return [first, second];
  }

  /** Lists the live children of a process that have done their `exec`. */
  childrenOf({ pid, args }: ProcessRow): ProcessRow[] {
    const rows = findByMarker(CONTAINMENT_MARKER, this.marker);
    return rows.filter((row) => row.ppid === pid && row.args.join(' ') !== args.join(' '));
  }

  /** Lists the live processes of the test, without its hosts and canaries. */
  tree(): ProcessRow[] {
    const own = new Set([...this.#hosts.map(({ child }) => child.pid), ...this.#canaryPids()]);
    return findByMarker(CONTAINMENT_MARKER, this.marker).filter((row) => !own.has(row.pid));
  }

  /** Lists the journals and claims in the state directory. */
  files(): string[] {
    return standing(this.stateDir);
  }

  /** Reads the history of the hosts. */
  history(): { readonly id: string; readonly event: string }[] {
    return readdirSync(this.stateDir)
      .filter((name) => name.startsWith('history-'))
      .flatMap((name) => readFileSync(join(this.stateDir, name), 'utf8').trim().split('\n'))
      .map((line) => JSON.parse(line));
  }

  /** Lists the instances that still have a journal of their own. */
  owners(): string[] {
    return this.files().flatMap((name) => /^host-(.*)\.jsonl$/.exec(name)?.[1] ?? []);
  }

  guardians(owners: readonly string[] = this.owners()): ProcessRow[] {
    return findGuardians(owners);
  }

  /** Lists processes of the trees that are alive after `withinMs`; returns early when none is. */
  async survivors(withinMs: number): Promise<string[]> {
    // One look is not enough: it can miss a process that is forked during it by one that then exits.
    let looks = 0;
    const isEmpty = (): boolean => {
      looks = this.tree().length === 0 ? looks + 1 : 0;
      return looks === 2;
    };
    await eventually(isEmpty, { timeoutMs: withinMs, everyMs: 10 }).catch(() => undefined);
    return this.tree().map((row) => roleOf(row) || row.args.join(' '));
  }

  /** Ends all trees, for controls that leave them alive. */
  async endAll(): Promise<void> {
    await endAndConfirm(this.tree());
  }

  /** Ends all processes that are left, by exact identity, and returns them. */
  async close(): Promise<ProcessRow[]> {
    for (const host of this.#hosts) host.kill('SIGKILL');
    await Promise.all(this.#hosts.map(({ exited }) => exited));
    for (const canary of this.#canaries) canary.kill('SIGKILL');
    const canaries = this.#canaryPids();
    // A guardian may end them first, if there is one.
    await eventually(() => this.tree().length === 0, { timeoutMs: GRACE_MS }).catch(
      () => undefined,
    );
    const left = await endByMarker(CONTAINMENT_MARKER, this.marker);
    rmSync(this.folder, { recursive: true, force: true });
    return left.filter(({ pid }) => !canaries.has(pid));
  }

  #canaryPids(): ReadonlySet<number | undefined> {
    return new Set([...this.#canaries.map(({ pid }) => pid), ...this.#strangers]);
  }
}

/** Finds the live guardians of these owners by their arguments, since they carry no marker. */
export function findGuardians(owners: readonly string[]): ProcessRow[] {
  return readdirSync('/proc').flatMap((name) => {
    const row = /^\d+$/.test(name) ? readRow(Number(name)) : undefined;
    const isGuardian =
      row?.args.some((arg) => GUARDIAN.test(arg)) &&
      owners.some((owner) => row.args.includes(owner));
    return row !== undefined && isGuardian ? [row] : [];
  });
}

/** A test with its own area; it fails at the end if a process of the area is alive. */
export const it = test.extend(
  'area',
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it that there is nothing to wait for.
  async ({}, { onCleanup }) => {
    const area = new Area();
    onCleanup(async () => {
      const left = await area.close();
      expect(left, 'alive after the test').toEqual([]);
    });
    return area;
  },
);

/** Ends exactly these processes, and waits until they are dead. */
export async function endAndConfirm(rows: readonly ProcessRow[]): Promise<void> {
  endByIdentity(rows);
  await eventually(() => rows.every((row) => readRow(row.pid)?.startTime !== row.startTime));
}

export function statusOf(pid: number): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  return Object.fromEntries(
    lines.flatMap((line) => {
      const at = line.indexOf(':');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1).trim()]];
    }),
  );
}

/** Returns the fields of /proc/PID/stat from field 3 (the state) on. */
export function statFieldsOf(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function pathOnly(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...compileCache() };
}
