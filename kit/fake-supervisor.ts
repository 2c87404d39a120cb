// A supervisor on the operating system in memory, with a real registry in a temporary folder.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SupervisorEvent, SupervisorEvents } from '../src/events.ts';
import type { Platform } from '../src/os/os.ts';
import type { SupervisedProcess } from '../src/process/handle.ts';
import type { SpawnRequest } from '../src/process/request.ts';
import type { SupervisorOptions } from '../src/supervisor/options.ts';
import { Supervisor } from '../src/supervisor/supervisor.ts';
import { FakeOs } from './fake-os.ts';

export const EVENTS = [
  ...(['queued', 'waiting', 'started', 'refused', 'ending', 'leftovers', 'survivors'] as const),
  ...(['exited', 'restarting', 'warning', 'session-expired', 'stopping', 'stopped'] as const),
  ...(['pool-paused', 'pool-resumed'] as const),
] satisfies SupervisorEvent[];

export class FakeSupervision {
  readonly os: FakeOs;
  readonly stateDir: string;
  readonly supervisor: Supervisor;
  /** Every event, in order. */
  readonly events: {
    [E in SupervisorEvent]: { name: E; detail: SupervisorEvents[E] };
  }[SupervisorEvent][] = [];

  constructor(
    options: SupervisorOptions = {},
    platform: Platform = 'linux',
    os = new FakeOs(platform),
  ) {
    this.os = os;
    this.stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'agent-supervisor-fake-'));
    this.supervisor = new Supervisor({ stateDir: this.stateDir, ...options }, this.os);
    for (const name of EVENTS) {
      this.supervisor.on(name, (detail) => {
        this.events.push({ name, detail } as FakeSupervision['events'][number]);
      });
    }
  }

  spawn(command: string, request: Partial<SpawnRequest> = {}): SupervisedProcess {
    return this.supervisor.spawn({ command, ...request });
  }

  /** Names of the events so far, each with the command of the process that was started. */
  get eventNames(): string[] {
    return this.events.map(({ name }) => name);
  }

  eventsOf<E extends SupervisorEvent>(name: E): SupervisorEvents[E][] {
    return this.events
      .filter((event) => event.name === name)
      .map((event) => event.detail as SupervisorEvents[E]);
  }

  until<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.os.clock.until(promise, limitMs);
  }

  [Symbol.dispose](): void {
    rmSync(this.stateDir, { recursive: true, force: true });
  }
}
