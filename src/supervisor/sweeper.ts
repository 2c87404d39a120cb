import type { Registry } from '../containment/registry.ts';
import { sweep } from '../containment/sweep.ts';
import type { SupervisorEvents } from '../events.ts';
import type { Clock } from '../os/clock.ts';
import { serialize } from '../os/wait.ts';
import type { Sessions } from '../policy/session.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import type { SweepReport } from '../reports.ts';
import type { SessionFiles } from '../store/session-file.ts';
import type { ResolvedOptions } from './options.ts';

export interface SweeperParts {
  readonly clock: Clock;
  readonly live: ReadonlyMap<string, ManagedProcess>;
  /** The processes that others were asked to launch. */
  readonly launching: ReadonlySet<ManagedProcess>;
  /** The ids of processes whose leftovers live on. */
  readonly kept: ReadonlySet<string>;
  readonly sessionFiles: SessionFiles;
  options(): Pick<ResolvedOptions, 'sweep' | 'session'>;
  sessions(): Sessions;
  /** The registry, opened at first use; throws while nothing may be swept. */
  registry(): Registry;
  swept(report: SweepReport): void;
  warn(warning: SupervisorEvents['warning']): void;
}

/** Sweeps when asked to, once at the start, and every `sweep.intervalMs` from then on. */
export class Sweeper {
  readonly #parts: SweeperParts;
  // One at a time: two at once would take the same journals.
  readonly #sweeps = serialize();
  #first: Promise<SweepReport> | undefined;
  #cancelNext: () => void = () => undefined;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  /** Sweeps once, when all earlier sweeps are done. */
  async sweep({ dryRun = false } = {}): Promise<SweepReport> {
    const registry = this.#parts.registry();
    const report = await this.#sweeps.run(() => this.#sweep(registry, dryRun));
    if (!dryRun) this.#parts.swept(report);
    return report;
  }

  get hasBegun(): boolean {
    return this.#first !== undefined;
  }

  /** Sweeps for the first time, and plans the next sweep. */
  begin(): void {
    this.#first = this.#sweepAndPlan();
    this.#first.catch((cause) =>
      this.#parts.warn({ code: 'SWEEP', message: 'The first sweep failed.', cause }),
    );
  }

  /** The report of the first sweep, or of a new one if that failed. */
  first(): Promise<SweepReport> {
    return this.#first?.catch(() => this.sweep()) ?? this.sweep();
  }

  /** Plans the next sweep from now, in place of the one that is planned. */
  plan(): void {
    this.cancel();
    const { clock, options, warn } = this.#parts;
    this.#cancelNext = clock.after(options().sweep.intervalMs, () => {
      this.#sweepAndPlan().catch((cause) =>
        warn({ code: 'SWEEP', message: 'A sweep failed.', cause }),
      );
    });
  }

  /** Cancels the sweep that is planned. */
  cancel(): void {
    this.#cancelNext();
  }

  /** Resolves when every sweep so far is done. */
  get idle(): Promise<unknown> {
    return this.#sweeps.idle;
  }

  /** Forgets the first sweep: the next `begin` makes another one. */
  reset(): void {
    this.#first = undefined;
  }

  async #sweepAndPlan(): Promise<SweepReport> {
    this.plan();
    return this.sweep();
  }

  async #sweep(registry: Registry, dryRun: boolean): Promise<SweepReport> {
    const { live, launching, kept } = this.#parts;
    registry.catchUp();
    const context = { ...(await registry.recovery()), dryRun };
    const isFolderUnsafe = !dryRun && !registry.check();
    if (!dryRun) await this.#review(registry, isFolderUnsafe);
    return sweep(context, {
      isFolderUnsafe,
      known: () => [...live.keys(), ...Array.from(launching, ({ id }) => id), ...kept],
      overdue: [...live.values()].filter(({ survived }) => survived),
      trees: Array.from(live.values(), ({ tree }) => tree),
    });
  }

  async #review(registry: Registry, isFolderUnsafe: boolean): Promise<void> {
    const { sessionFiles, options, sessions } = this.#parts;
    sessions().review();
    registry.review();
    if (isFolderUnsafe) return;
    await sessionFiles.forgetUnseen(options().session.retentionMs, sessions().inUse);
  }
}
