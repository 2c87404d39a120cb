import type { RecoveryContext } from '../containment/context.ts';
import type { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import { sleep } from '../os/clock.ts';
import type { ProcessEntry } from '../os/os.ts';
import type { Slot } from '../policy/slot.ts';
import { hasMark, marksOf, type TreeMarks } from '../tree/marks.ts';
import { Termination } from '../tree/termination.ts';
import { ProcessTree } from '../tree/tracked-tree.ts';
import { lineage } from '../tree/tree.ts';
import { refusalFor } from './admission.ts';
import { findAdoptable, notAdoptable, supervise } from './adopt.ts';
import type { SupervisedProcess } from './handle.ts';
import { ManagedProcess } from './managed-process.ts';
import type { CheckedRequest } from './request.ts';
import { environmentOf, proceed, refuse } from './start.ts';
import type { Supervision } from './supervision.ts';

/** Interval between two looks for a process that others launch. */
const LOOK_MS = 50;

/** Admits a process that others will launch on a held slot; rejects if it is refused. */
export function prepareLaunch(
  s: Supervision,
  request: CheckedRequest,
  held: Slot,
): Promise<ExternalLaunch> {
  const p = new ManagedProcess(s, s.nextId(), request, held);
  s.emit('requested', p.subject);
  return new Promise((resolve, reject) => {
    void p.exited.then(({ error }) => reject(error));
    proceed(s, p, s.admission.ask(p), () => {
      const launch = begin(s, p);
      if (launch !== undefined) resolve(launch);
    });
  });
}

function begin(s: Supervision, p: ManagedProcess): ExternalLaunch | undefined {
  p.state = 'starting';
  try {
    const refusal = s.admission.recheck(p);
    if (refusal !== undefined) throw refusal;
    const launch = new ExternalLaunch(s, p, s.registry());
    s.admission.count(p);
    s.launching.add(p);
    return launch;
  } catch (error) {
    refuse(s, p, refusalFor(error));
    return undefined;
  }
}

/** A process that others launch, from its admission to its adoption. */
export class ExternalLaunch {
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** The words before its command line. */
  readonly prefix: readonly string[];
  readonly #s: Supervision;
  readonly #process: ManagedProcess;
  readonly #registry: Registry;
  readonly #marks: TreeMarks;

  constructor(s: Supervision, p: ManagedProcess, registry: Registry) {
    this.#s = s;
    this.#process = p;
    this.#registry = registry;
    this.#marks = marksOf(registry.segment(p.id));
    this.env = environmentOf(s, p, registry);
    this.prefix = s.os.rlimits?.prefix(registry.tag(p.id).rlimits, this.env) ?? [];
  }

  /** True until it is adopted or given up. */
  get isPending(): boolean {
    return this.#process.state === 'starting';
  }

  /** Waits for a child of this host that bears its marks; resolves to the pid. */
  async appeared(timeoutMs: number): Promise<number> {
    const { clock } = this.#s.os;
    const untilMs = clock.running.monotonicMs() + timeoutMs;
    for (;;) {
      const { root, hasOrphans } = await this.#look();
      if (root !== undefined) return root.pid;
      if (hasOrphans) throw notAdoptable('the launch', 'its process has ended already');
      if (!this.isPending || clock.running.monotonicMs() >= untilMs)
        throw notAdoptable('the launch', `no process bears its marks after ${timeoutMs} ms`);
      await sleep(LOOK_MS, clock.running);
    }
  }

  /** Supervises the process from now on. */
  async adopt(pid: number, context: RecoveryContext): Promise<SupervisedProcess> {
    const [s, p] = [this.#s, this.#process];
    const guardian = s.registry().guardian.pid;
    const own = { live: s.live, guardian, launch: this.#marks };
    const found = await findAdoptable({ pid }, context, own);
    await supervise(s, p, { ...found, budget: s.admission.budgetOf(p) }, context);
    s.launching.delete(p);
    return p.handle;
  }

  /** Gives the launch up with its leftovers, unless its process is alive. Tells if it did. */
  async giveUp(): Promise<boolean> {
    const { root, hasOrphans } = await this.#look();
    if (this.isPending && root !== undefined) return false;
    const [s, p] = [this.#s, this.#process];
    const isKept = (p.request.leftovers ?? s.options.leftovers) === 'keep';
    if (hasOrphans && isKept) this.#registry.keep(p.id);
    if (hasOrphans && !isKept) await this.end();
    this.#over();
    return true;
  }

  /** Ends all that bears its marks. */
  async end(): Promise<void> {
    const { os, options } = this.#s;
    const tree = new ProcessTree(os, {
      ...{ pid: 0, startTime: undefined, leadsGroup: false, held: false },
      ...this.#marks,
    });
    const target = { running: () => false, endStdin: () => undefined, stdinEndedAtMs: undefined };
    await new Termination(os, { ...target, tree }, options.ladder, {}).done;
    this.#over();
  }

  #over(): void {
    const [s, p] = [this.#s, this.#process];
    if (!this.isPending) return;
    s.launching.delete(p);
    p.takenBackBy = 'SIGTERM';
    const message = 'The launch was given up: no process of it was adopted.';
    refuse(s, p, new SupervisorError('ABORTED', message));
  }

  /** Finds the process itself below this host, and tells if others bear its marks. */
  async #look(): Promise<{ root: ProcessEntry | undefined; hasOrphans: boolean }> {
    const { os } = this.#s;
    const table = await os.processes.snapshot();
    const marked = [...table.values()].filter(
      (entry) => entry.alive && hasMark(entry, this.#marks),
    );
    const { pid } = os.identify();
    const root = marked.find(
      (entry) =>
        !marked.some((other) => other.pid === entry.ppid) && lineage(table, entry.pid).has(pid),
    );
    return { root, hasOrphans: marked.length > 0 };
  }
}
