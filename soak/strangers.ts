// Processes that nobody may touch, however much they look like ours.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessKey } from '../kit/process-table.ts';
import type { World } from './world.ts';

/** How many processes the trees below come to, all in all. */
const EXPECTED = 4 + 4 + 1 + 2;

export class Strangers {
  readonly #world: World;
  readonly #trap: string;
  #keys: readonly ProcessKey[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#trap = join(world.folder, 'trapped');
  }

  /** All of them, once they stand. */
  get keys(): readonly ProcessKey[] {
    if (this.#keys.length < EXPECTED)
      this.#keys = this.#world.processes().filter(({ tag }) => tag.kind === 'canary');
    return this.#keys;
  }

  settle(): void {
    const script = (name: string) => ['sh', join(import.meta.dirname, name)];
    const life = String(Math.ceil(this.#world.lifeMs / 1000));
    this.#start(script('tree.sh'));
    this.#start(script('tree.sh'), { AGENT_SUPERVISOR_COOKIE: 'OwnerOfAnotherTime.1' });
    this.#start(['sleep', life]);
    this.#start(script('trap.sh'), { SOAK_TRAP: this.#trap });
  }

  /** Who of them has died, or was sent a signal. */
  harm(): string | undefined {
    const dead = this.keys.find((key) => !isAlive(key));
    if (dead !== undefined) return `the stranger with pid ${dead.pid} is dead`;
    if (!existsSync(this.#trap)) return undefined;
    return `a stranger was sent ${readFileSync(this.#trap, 'utf8').trim().replaceAll('\n', ', ')}`;
  }

  #start([command = '', ...args]: readonly string[], more: Record<string, string> = {}): void {
    const env = this.#world.env({ kind: 'canary' }, more);
    spawn(command, args, { env, detached: true, stdio: 'ignore' }).unref();
  }
}
