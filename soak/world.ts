// The machine that a soak plays on: its hosts, its strangers, its folder. It owns every process of it.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { isAlive, type ProcessKey, readRow } from '../kit/process-table.ts';
import type { SpawnRequest } from '../src/index.ts';
import { now } from './clock.ts';
import { CONTROLS, type Protection } from './controls.ts';
import type { HostCommand, HostMessage } from './host.ts';
import { type Host, hostItself, startHost } from './host-process.ts';
import { PLACES } from './plan.ts';
import { Strangers } from './strangers.ts';
import { canLimitUsers, canMountAt, compiledMaker } from './surroundings.ts';
import { findSoakProcesses, type SoakProcess } from './table.ts';
import { formatTag, MARKER, TAG, type Tag } from './tag.ts';

/** How long a place stays empty. */
const VACANCY_MS = 500;
/** All that a soak starts ends by itself so long after the soak should have. */
const SPARE_MS = 120_000;

export interface WorldOptions {
  readonly durationMs: number;
  readonly without?: Protection | undefined;
  /** A port that the daemon may have. */
  readonly port: number;
}

export class World {
  readonly folder = mkdtempSync(join(tmpdir(), 'soak-'));
  readonly marker = basename(this.folder);
  readonly options: WorldOptions;
  readonly strangers: Strangers;
  /** All that ever lived, in the order of their births. */
  readonly hosts: Host[] = [];
  readonly counts = new Map<string, number>();
  /** Daemons that have been ready, and that nobody was told to end. */
  readonly daemons = new Map<number, ProcessKey>();
  /** Journals of hosts that are dead, as they were. */
  readonly relics: string[] = [];
  readonly canMount: boolean;
  /** The program that makes daemons, where numbers can be few. */
  readonly makerOfDaemons: string | undefined;
  /** What this machine does not let happen. */
  readonly leftOut: string[] = [];
  readonly #places: readonly number[];
  /** Nobody can be expected to have cleaned up after another host before. */
  disturbedUntilMs = 0;
  #inhabited = new Map<number, Host>();
  readonly #doomed = new Set<string>();
  #isClosing = false;
  #starts = 0;
  readonly #due = new Map<NodeJS.Timeout, () => void>();

  constructor(options: WorldOptions) {
    this.options = options;
    for (const name of ['state', 'cramped', 'daemon']) mkdirSync(join(this.folder, name), 0o700);
    // Another user's host runs in it.
    chmodSync(this.folder, 0o711);
    this.canMount = canMountAt(join(this.folder, 'cramped'));
    this.makerOfDaemons = compiledMaker(this.folder);
    this.strangers = new Strangers(this);
    this.#places = this.#inhabitable();
  }

  get lifeMs(): number {
    return this.options.durationMs + SPARE_MS;
  }

  /** Resolves when all hosts are ready, or `withinMs` is over. */
  async begin(withinMs: number): Promise<void> {
    this.strangers.settle();
    const untilMs = now() + withinMs;
    for (const place of this.#places) {
      this.#inhabit(place);
      // One by one: the first one compiles for all, and ten at once would take longer.
      while (this.hostAt(place) === undefined && now() < untilMs)
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Who lives there now and takes orders. */
  hostAt(place: number): Host | undefined {
    const host = this.#inhabited.get(place);
    return host?.isReady && host.ending === undefined ? host : undefined;
  }

  get liveHosts(): Host[] {
    return [...this.#inhabited.values()];
  }

  processes(): SoakProcess[] {
    return findSoakProcesses(this.marker);
  }

  tell(host: Host, command: HostCommand): void {
    host.child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  stop(host: Host, why: string): void {
    host.ending ??= why;
    host.toldToStopMs ??= now();
    this.tell(host, { do: 'stop' });
  }

  /** Does something later; at the end of the soak at once, if it has not been done by then. */
  later(delayMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#due.delete(timer);
      act();
    }, delayMs);
    this.#due.set(timer, act);
  }

  /** The environment of what is started, which says what it is. */
  env(tag: Partial<Tag> & Pick<Tag, 'kind'>, more: Record<string, string> = {}) {
    const whole = { host: '', name: '', start: String(++this.#starts), ...tag };
    return {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: this.folder,
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(this.folder, 'compiled'),
      SOAK_LIFE_S: String(Math.ceil(this.lifeMs / 1000)),
      [MARKER]: this.marker,
      [TAG]: formatTag(whole),
      ...more,
    };
  }

  /** What makes a host start a tree of one of the scripts beside this file. */
  request(host: Host, kind: Tag['kind'], script = 'tree.sh', name = ''): SpawnRequest {
    const env = this.env({ kind, host: host.id, name });
    return { command: 'sh', args: [join(import.meta.dirname, script)], env, kind };
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Signals exactly this process, for a reason if it is a host. */
  signal(key: ProcessKey, signal: NodeJS.Signals): boolean {
    if (key.pid <= 1 || key.pid === process.pid || !isAlive(key)) return false;
    try {
      return process.kill(key.pid, signal);
    } catch {
      // It ended in between.
      return false;
    }
  }

  /** Lets all hosts stop as they should; resolves when they are gone, or should be. */
  async stopHosts(withinMs: number): Promise<void> {
    this.#isClosing = true;
    for (const [timer, act] of this.#due) {
      clearTimeout(timer);
      act();
    }
    this.#due.clear();
    const exits = this.liveHosts.map((host) => {
      this.stop(host, 'the end');
      return host.gone;
    });
    const patience = new Promise((resolve) => setTimeout(resolve, withinMs).unref());
    await Promise.race([Promise.all(exits), patience]);
  }

  /** Expects no daemon among these to live on, one that is ready later included. */
  doom(keys: readonly ProcessKey[]): void {
    for (const { pid, startTime } of keys) {
      this.#doomed.add(`${pid} ${startTime}`);
      this.daemons.delete(pid);
    }
  }

  /** Who is to be ended, now that nobody expects them to live. */
  endDaemons(): ProcessKey[] {
    const keys = [...this.daemons.values()];
    this.daemons.clear();
    return keys;
  }

  /** Ends whatever is left, each by pid and start time, and removes the folder. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const timer of this.#due.keys()) clearTimeout(timer);
    for (const host of this.liveHosts) this.signal(host.key, 'SIGKILL');
    for (let calm = 0; calm < 3; ) {
      const left = this.processes();
      for (const row of left) this.signal(row, 'SIGKILL');
      calm = left.length === 0 ? calm + 1 : 0;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The places of a control, or all that this machine can make. */
  #inhabitable(): number[] {
    const { without } = this.options;
    const wanted: readonly number[] =
      without === undefined ? Object.values(PLACES).flat() : CONTROLS[without].places;
    const missing = new Set<number>();
    if (!this.canMount)
      this.leftOut.push(
        'full disk, read-only state directory (no mount namespace can be made here)',
      );
    if (this.makerOfDaemons === undefined) {
      missing.add(PLACES.recycling);
      this.leftOut.push('few numbers (Linux 6.14, gcc and the right to make PID namespaces)');
    }
    if (!canLimitUsers()) {
      missing.add(PLACES.crowded);
      this.leftOut.push('few processes (root, setpriv, prlimit and perl)');
    }
    return wanted.filter((place) => !missing.has(place));
  }

  #inhabit(place: number): void {
    const life = this.hosts.filter((host) => host.place === place).length + 1;
    this.#attend(startHost(this, place, `${place}.${life}`));
  }

  #attend(host: Host): void {
    const { child, place } = host;
    this.hosts.push(host);
    this.#inhabited.set(place, host);
    this.count('host started');
    child.stdin?.on('error', () => undefined);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      host.stderr = (host.stderr + text).slice(-4000);
    });
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) =>
        this.#hear(host, JSON.parse(line) as HostMessage),
      );
    void host.gone.then((how) => {
      host.diedAtMs = now();
      host.isOrphaning = host.diedAtMs < host.guardianHurtUntilMs;
      host.stderr += `(${how})`;
      this.disturbedUntilMs = Math.max(this.disturbedUntilMs, host.diedAtMs);
      this.#inhabited.delete(place);
      if (!this.#isClosing) this.later(VACANCY_MS, () => this.#isClosing || this.#inhabit(place));
    });
  }

  #hear(host: Host, message: HostMessage): void {
    if (message.event === 'ready') {
      host.isReady = true;
      host.readyAtMs = now();
      host.key = hostItself(this, host);
      host.instance = message.instance;
    } else if (message.event === 'stopped') host.survivors = message.survivors;
    else if (message.event === 'daemon') {
      const row = readRow(message.pid);
      if (row === undefined || this.#doomed.has(`${row.pid} ${row.startTime}`)) return;
      if (!this.daemons.has(row.pid)) this.count('daemon ready');
      this.daemons.set(row.pid, row);
    } else {
      const what = message.event === 'ended' ? message.cause : message.code;
      this.count(`${message.event}: ${what}`);
    }
  }
}
