// Processes that nobody may touch, however much they look like ours.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessKey } from '../kit/process-table.ts';
import type { World } from './world.ts';

/** How many processes the trees below come to, all in all. */
const EXPECTED = 4 + 4 + 4 + 2 + 1 + 2;
/** A tag of an owner that nobody knows, in its first generation. */
const TAG_OF_ANOTHER = '9199999999999000001';

/** What trap.sh and the program that makes daemons write down. */
const SIGNALS = /^(?:[A-Z]|signal|killed).*$/gm;

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
      this.#keys = this.#world
        .processes()
        // Who has no role yet is about to become another program, or to go.
        .filter(({ tag, role }) => tag.kind === 'canary' && role !== '');
    return this.#keys;
  }

  settle(): void {
    const script = (name: string) => ['sh', join(import.meta.dirname, name)];
    const life = String(Math.ceil(this.#world.lifeMs / 1000));
    this.#start(script('tree.sh'));
    this.#start(script('tree.sh'), { AGENT_SUPERVISOR_COOKIE: 'OwnerOfAnotherTime.1' });
    const limit = `--locks=${TAG_OF_ANOTHER}:${TAG_OF_ANOTHER}`;
    this.#start(['prlimit', limit, '--', ...script('tree.sh')]);
    this.#start(script('washed.sh'));
    this.#start(['sleep', life], { ROLE: 'alone' });
    this.#start(script('trap.sh'), { ROLE: 'trap', SOAK_TRAP: this.#trap });
  }

  /** Who of them has died, or was sent a signal. */
  harm(): string | undefined {
    const dead = this.keys.find((key) => !isAlive(key));
    if (dead !== undefined) return `the stranger with pid ${dead.pid} is dead`;
    const told = this.#world.hosts.flatMap(({ strangersLog }) => strangersLog ?? []);
    for (const log of [this.#trap, ...told]) {
      const signals = existsSync(log) ? readFileSync(log, 'utf8').match(SIGNALS) : null;
      if (signals !== null) return `a stranger was sent ${signals.join(', ')}`;
    }
    return undefined;
  }

  #start([command = '', ...args]: readonly string[], more: Record<string, string> = {}): void {
    const env = this.#world.env({ kind: 'canary' }, more);
    spawn(command, args, { env, detached: true, stdio: 'ignore' }).unref();
  }
}
