// Looks at the machine again and again, and remembers the first thing that was wrong.
import { isAlive, type ProcessKey } from '../kit/process-table.ts';
import { now } from './clock.ts';
import { CONTROLS } from './controls.ts';
import { type Invariant, invariants, type Measured } from './invariants.ts';
import { findGuardiansOf } from './table.ts';
import type { World } from './world.ts';

/** What is there until the soak is over. */
const SCENERY: ReadonlySet<string> = new Set(['canary', 'namespace']);

export class Witness {
  readonly measured: Measured = {
    looks: 0,
    guardedMs: 0,
    orphanedMs: 0,
    agentsOfHost: 0,
    processes: 0,
    warmBytes: 0,
    residentBytes: 0,
  };
  readonly invariants: readonly Invariant[];
  violation: string | undefined;
  readonly #world: World;
  readonly #guardians = new Map<number, ProcessKey>();

  constructor(world: World) {
    this.#world = world;
    const { without } = world.options;
    const only = without && CONTROLS[without].breaks;
    this.invariants = invariants().filter(({ name }) => only === undefined || name === only);
  }

  /** Takes one look; tells whether anything is or was wrong. */
  look(): boolean {
    if (this.violation !== undefined) return true;
    const world = this.#world;
    const processes = world.processes();
    const record = this.measured;
    record.looks++;
    record.processes = Math.max(record.processes, processes.length);
    const scene = { world, processes, nowMs: now(), record };
    for (const { name, check } of this.invariants) {
      const wrong = check(scene);
      if (wrong === undefined) continue;
      this.violation = `${name}: ${wrong}`;
      return true;
    }
    this.#rememberGuardians();
    return false;
  }

  /** Whether only strangers are left. */
  looksEmpty(): boolean {
    return this.#left().length === 0;
  }

  judgeTheEnd(): void {
    const left = this.#left();
    const hosts = this.#world.liveHosts.map(({ id, stderr }) => `host ${id} ${stderr}`);
    if (this.violation === undefined && left.length + hosts.length > 0)
      this.violation = `nothing is left in the end: ${[...hosts, ...left].join(', ')}`;
    const harm = this.#world.strangers.harm();
    if (harm !== undefined) this.violation ??= `no stranger is touched: ${harm}`;
  }

  #left(): string[] {
    const rows = this.#world.processes().filter(({ tag }) => !SCENERY.has(tag.kind));
    const guardians = [...this.#guardians.values()].filter(isAlive);
    return [
      ...rows.map(({ tag, role, pid }) => `${tag.kind} ${tag.host}/${tag.start} ${role} ${pid}`),
      ...guardians.map(({ pid }) => `guardian ${pid}`),
    ];
  }

  /** They carry no marker: whoever was seen as one must be gone in the end. */
  #rememberGuardians(): void {
    if (this.measured.looks % 10 !== 0) return;
    for (const [pid, key] of this.#guardians) if (!isAlive(key)) this.#guardians.delete(pid);
    for (const host of this.#world.liveHosts)
      for (const guardian of findGuardiansOf(host)) this.#guardians.set(guardian.pid, guardian);
  }
}
