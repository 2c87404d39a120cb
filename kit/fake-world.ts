// Several hosts on one operating system in memory, and one state directory on disk.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SupervisorEvents } from '../src/events.ts';
import type { ExitReport, SpawnRequest, SupervisedProcess } from '../src/index.ts';
import type { Os } from '../src/os/os.ts';
import { TickingTime, type Timers } from '../src/os/running-time.ts';
import type { SupervisorOptions } from '../src/supervisor/options.ts';
import { Supervisor } from '../src/supervisor/supervisor.ts';
import { FakeOs } from './fake-os.ts';
import { standing } from './state-dir.ts';

const LADDER = { stdinEofMs: 10, termMs: 20, killMs: 20 };
/** Longest wait of a takeover: twice the ladder, and five seconds. */
export const PATIENCE_MS = 2 * 50 + 5000;

/** One request, and its outcome. */
export class Request {
  readonly handle: SupervisedProcess;
  readonly told: string[] = [];
  report: ExitReport | undefined;

  constructor(handle: SupervisedProcess) {
    this.handle = handle;
    // A stream without a reader would hold up the exit.
    if (handle.pid === undefined || handle.stdout !== null) handle.stdout.resume();
    handle.on('error', () => undefined);
    handle.started.then(
      () => this.told.push('started'),
      () => undefined,
    );
    void handle.exited.then((report) => {
      this.told.push(report.error?.code ?? report.cause);
      this.report = report;
    });
  }

  get pid(): number {
    return this.handle.pid ?? 0;
  }
}

export class FakeHost {
  readonly supervisor: Supervisor;
  readonly pid: number;
  readonly warnings: SupervisorEvents['warning'][] = [];
  readonly #children: { removeAllListeners(event: string): unknown }[] = [];
  readonly #world: FakeWorld;

  /** Work that is due while the host is stopped; `undefined` while it runs. */
  #due: (() => void)[] | undefined;

  constructor(world: FakeWorld, options: SupervisorOptions, system: Partial<Os>) {
    this.#world = world;
    this.pid = world.os.add({ ppid: 1, command: 'host' }).pid;
    const { clock } = world.os;
    const timers: Timers = {
      monotonicMs: () => clock.monotonicMs(),
      after: (ms, callback, more) =>
        clock.after(ms, () => (this.#due ? this.#due.push(callback) : callback()), more),
    };
    const own: Partial<Os> = {
      clock: {
        ...timers,
        now: () => clock.now(),
        sinceBootMs: () => clock.sinceBootMs(),
        running: new TickingTime(timers),
      },
      ...system,
      identify: () => ({
        ...(system.identify?.() ?? world.os.identify()),
        pid: this.pid,
        startTime: this.#startTime,
      }),
      launch: (request) => {
        const launched = world.os.launch(request);
        if (launched.child) this.#children.push(launched.child);
        return launched;
      },
    };
    const os = new Proxy(world.os as Os, {
      get(target, key) {
        const value = Reflect.get(own, key) ?? Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    this.#startTime = world.os.get(this.pid).startTime;
    this.supervisor = new Supervisor({ stateDir: world.stateDir, ...options }, os);
    this.supervisor.on('warning', (warning) => this.warnings.push(warning));
  }

  readonly #startTime: string;

  ask(command: string, request: Partial<SpawnRequest> = {}): Request {
    const conversationId = this.#world.conversation;
    return new Request(this.supervisor.spawn({ command, conversationId, ...request }));
  }

  /** The instance of this host's journal. */
  get instance(): string {
    const own = readdirSync(this.#world.stateDir).find((name) => {
      if (!name.startsWith('host-')) return false;
      const text = readFileSync(join(this.#world.stateDir, name), 'utf8');
      return JSON.parse(text.split('\n')[0] ?? '').owner.pid === this.pid;
    });
    return own?.slice('host-'.length, -'.jsonl'.length) ?? '';
  }

  /** Kills the host at once, but not its processes. */
  crash(): void {
    for (const child of this.#children) child.removeAllListeners('exit');
    this.#world.os.die(this.pid);
    this.stop();
  }

  /** Stops the host, as SIGSTOP does: its callbacks are held back. */
  stop(): void {
    this.#due ??= [];
  }

  /** Continues the host, with all callbacks that were due meanwhile. */
  continue(): void {
    const due = this.#due ?? [];
    this.#due = undefined;
    for (const callback of due) callback();
  }
}

export class FakeWorld {
  readonly os = new FakeOs();
  readonly stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-world-'));
  readonly conversation = crypto.randomUUID();
  readonly #hosts: FakeHost[] = [];

  host(options: SupervisorOptions = {}, system: Partial<Os> = {}): FakeHost {
    const defaults = {
      ladder: LADDER,
      pool: { concurrency: 8 },
      sweep: { intervalMs: 3_600_000 },
    };
    const host = new FakeHost(this, { ...defaults, ...options }, system);
    this.#hosts.push(host);
    return host;
  }

  async settle(): Promise<void> {
    for (let left = 4; left > 0; left--) await this.os.clock.settle();
  }

  async pass(ms: number): Promise<void> {
    await this.os.clock.advance(ms);
    await this.settle();
  }

  until<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.os.clock.until(promise, limitMs);
  }

  get launched(): string[] {
    return this.os.launches.map(({ command }) => command);
  }

  /** The path of the claim on the conversation. */
  get claimPath(): string {
    const name = createHash('sha256').update(this.conversation).digest('hex').slice(0, 32);
    return join(this.stateDir, `conversation-${name}.json`);
  }

  /** Lists the files in the state directory, without the journals of hosts. */
  get files(): string[] {
    return standing(this.stateDir).filter((name) => !name.startsWith('host-'));
  }

  [Symbol.dispose](): void {
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}
