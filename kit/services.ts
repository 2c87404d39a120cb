// Services of real processes, for tests that watch them from outside.
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { basename, join } from 'node:path';
import type { SupervisorEvents, SupervisorOptions } from '../src/index.ts';
import { createSupervisor } from '../src/index.ts';
import { defineService, type ServiceDefinition } from '../src/service/index.ts';
import { type Area, it as base, LADDER } from './containment.ts';
import { eventually } from './process-table.ts';

const SERVER = join(import.meta.dirname, '../test/fixtures/service-server.mjs');

/** The server's behaviour at each start; see the first lines of its script. */
export interface ServerPlan {
  readonly acts?: readonly ('crash' | 'hang' | 'die' | 'complete' | 'live')[];
  readonly port?: number;
  readonly socket?: string;
  readonly lockFile?: string;
  readonly status?: number;
  readonly stubborn?: boolean;
  readonly lastWords?: string;
  readonly dieAfterMs?: number;
}

/** Fast enough for a test with many restarts. */
const QUICK = { backoffMs: 10, maxBackoffMs: 40, jitter: 0, maxRestarts: 1000 };

/** A server's name, log and definition. */
export class ServerRig {
  readonly name: string;
  readonly log: string;
  readonly #area: Area;

  constructor(area: Area, name = 'server') {
    this.#area = area;
    this.name = name;
    this.log = join(area.folder, `${name}.log`);
  }

  definition(plan: ServerPlan = {}, more: Partial<ServiceDefinition> = {}): ServiceDefinition {
    const only = `${basename(this.#area.folder)}-${this.name}`;
    return {
      name: this.name,
      command: process.execPath,
      args: [SERVER, JSON.stringify({ ...plan, log: this.log, only })],
      env: this.#area.env,
      ready: { stdout: /^listening/ },
      restart: QUICK,
      ...more,
    };
  }

  /** The number of its starts. */
  get starts(): number {
    return this.#lines('start').length;
  }

  /** Times at which two servers were alive at once, as the kernel reports it. */
  get overlaps(): readonly string[] {
    return this.#lines('overlap');
  }

  /** Lists the live servers, seen from outside. */
  alive(): number[] {
    return this.#area
      .tree()
      .filter(({ args }) => args.some((arg) => arg.includes(this.log)))
      .map(({ pid }) => pid);
  }

  #lines(word: string): string[] {
    try {
      return readFileSync(this.log, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith(word));
    } catch {
      return [];
    }
  }
}

export function superviseIn(area: Area, options: SupervisorOptions = {}) {
  const supervisor = createSupervisor({ stateDir: area.stateDir, ladder: LADDER, ...options });
  const states: string[] = [];
  supervisor.on('service', ({ state }: SupervisorEvents['service']) => states.push(state));
  return { supervisor, states };
}

/** Finds a port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when a server listens on the port. */
export async function listening(port: number): Promise<void> {
  await eventually(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(true));
        socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
      }),
    { what: `somebody listens on ${port}` },
  );
}

/** A test with its own supervisor, stopped at its end. */
export const it = base.extend('rig', async ({ area }, { onCleanup }) => {
  const { supervisor, states } = superviseIn(area);
  onCleanup(async () => void (await supervisor.stop()));
  await supervisor.start();
  return { supervisor, states, server: new ServerRig(area), defineService };
});
