import { COOKIE_VARIABLE, type GuardedCleanup, type Os, type Rlimits } from '../os/os.ts';
import type { RlimitTagReport } from '../reports.ts';
import { isPrivateFolder } from '../store/files.ts';
import type { Order, SupervisionRecord } from '../store/formats.ts';
import { History } from '../store/history.ts';
import { Journal } from '../store/journal.ts';
import { removeOrders, takeOrder } from '../store/operator-requests.ts';
import { cookieSegment, depthOf, extendCookie } from '../tree/cookie.ts';
import type { Owner } from '../tree/identity.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import { recordNumber, tagOwner } from '../tree/rlimit-tag.ts';
import { type LaunchTag, Tagging } from '../tree/tagging.ts';
import type { RecoveryContext } from './context.ts';
import { SharedConversationLocks } from './conversation-locks.ts';
import { FailureDetector } from './failure-detector.ts';
import { Guardian, type GuardianState } from './guardian.ts';
import { Heartbeat } from './heartbeat.ts';
import { KeptFiles } from './kept.ts';
import type { Machine, MachineContext } from './machine.ts';

export interface RegistryOptions {
  readonly stateDir: string;
  /** Ids of processes whose leftovers may live on; kept by the supervisor, which outlasts this registry. */
  readonly kept: Set<string>;
  readonly ladder: LadderOptions;
  /** Times that the guardian gives the remains of this host; `undefined` for no guardian. */
  readonly guardian: { readonly politeMs: number; readonly forcedMs: number } | undefined;
  /** True to mark launched processes by a tag in a resource limit, beside the cookie. */
  readonly rlimitTag: boolean;
  warn(code: string, message: string, cause?: unknown): void;
  sweep(): Promise<unknown>;
  /** Called when a process that was let go, or its whole tree, is dead. */
  disownedGone(id: string): void;
  /** Runs the cleanup that a dead host's record names, if this host has registered it. */
  cleanUp(record: SupervisionRecord): Promise<void>;
  /** Called when other hosts took this one for dead, and may run these records' conversations. */
  forfeited(ids: readonly string[], silentMs: number): void;
}

/** The identity, records, marks and guardian of this host. */
export class Registry {
  readonly conversationLocks: SharedConversationLocks;
  readonly history: History;
  readonly #openedAt: number;
  readonly #openedAtMs: number;
  readonly #journal: Journal;
  readonly #guardian: Guardian | undefined;
  readonly #heartbeat: Heartbeat | undefined;
  readonly #detector: FailureDetector;
  readonly #tagging: Tagging;
  readonly #os: Os;
  readonly #keptFiles: KeptFiles;
  readonly #warn: RegistryOptions['warn'];
  readonly #options: RegistryOptions;
  /** The slots of the machine; `undefined` until `joinMachine`. */
  machine: Machine | undefined;
  #owner: Owner;
  #identifying: Promise<void> | undefined;
  #closing = false;

  /**
   * Opens the host's own journal, and starts a guardian.
   *
   * @throws SupervisorError `STATE_DIR_UNSAFE` if the journal cannot be opened
   */
  constructor(os: Os, options: RegistryOptions) {
    const { stateDir, guardian, warn } = options;
    this.#options = options;
    this.#os = os;
    this.#warn = warn;
    this.#heartbeat = this.#heartbeatOf(options);
    this.#detector = new FailureDetector(os, stateDir);
    const heartbeat = this.#heartbeat?.id;
    this.#owner = {
      ...os.identify(),
      instance: crypto.randomUUID(),
      ...(heartbeat && { heartbeat }),
    };
    this.#openedAt = os.clock.now();
    this.#openedAtMs = os.clock.monotonicMs();
    const files = {
      stateDir,
      owner: this.owner,
      openedAt: this.#openedAt,
      userId: os.userId(),
      warn: (message: string, cause: unknown) => warn('REGISTRY', message, cause),
    };
    this.#journal = new Journal(files);
    this.#keptFiles = new KeptFiles(files);
    this.history = new History({
      os,
      stateDir,
      warn: (message, cause) => warn('HISTORY', message, cause),
    });
    this.conversationLocks = new SharedConversationLocks({
      os,
      stateDir,
      owner: () => this.owner,
      recovery: () => this.recovery(),
      sweep: options.sweep,
      warn: (message, cause) => warn('CONVERSATION', message, cause),
      catchUp: () => this.catchUp(),
    });
    const { instance } = this.owner;
    const hold = this.#heartbeat?.open();
    this.#tagging = new Tagging(os.rlimits, instance, options.rlimitTag);
    if (guardian === undefined || os.guard === undefined) return;
    const tag = this.#tagging.ready && tagOwner(instance);
    const request = { owner: instance, tag, hold, ...guardian };
    this.#guardian = new Guardian(os, request, (message, cause) =>
      warn('GUARDIAN', message, cause),
    );
  }

  #heartbeatOf({ stateDir, guardian, warn }: RegistryOptions): Heartbeat | undefined {
    const { heartbeat: times, guard } = this.#os;
    if (times === undefined) return undefined;
    return new Heartbeat({
      ...{ os: this.#os, times, folder: stateDir },
      graceMs: guardian && guard ? guardian.politeMs + guardian.forcedMs : 0,
      isNeeded: () => this.#isBusy,
      givenUp: (silentMs) => this.#beginAnew(silentMs),
      warn: (message, cause) => warn('REGISTRY', message, cause),
    });
  }

  get owner(): Owner {
    return this.#owner;
  }

  /** Reads the host's own identity where the system reports it late; `undefined` once it is known. */
  identify(): Promise<void> | undefined {
    if (this.owner.startTime !== undefined) return undefined;
    this.#identifying ??= this.#os.identifyAsync?.().then(
      (identity) => {
        this.#owner = { ...this.owner, ...identity };
        this.#identified();
      },
      (cause) => {
        this.#identifying = undefined;
        const message =
          'This host cannot tell who it is: if it is killed, no other can end its rest.';
        this.#warn('REGISTRY', message, cause);
      },
    );
    return this.#identifying;
  }

  /** Makes this host one of those that share the machine's slots. */
  joinMachine(join: (context: Omit<MachineContext, 'limit'>) => Machine): void {
    const { stateDir, sweep } = this.#options;
    this.machine = join({
      os: this.#os,
      stateDir,
      owner: () => this.owner,
      identify: () => this.identify(),
      recovery: () => this.recovery(),
      sweep,
      warn: this.#warn,
      catchUp: () => this.catchUp(),
    });
  }

  /** Rewrites the host's identity in all its files. */
  #identified(): void {
    this.#journal.identify(this.owner);
    this.#keptFiles.identify(this.owner);
    this.conversationLocks.identify();
    this.machine?.rewrite();
  }

  get #isBusy(): boolean {
    const held = this.conversationLocks.heldCount + (this.machine?.isBusy ? 1 : 0);
    return this.#journal.records.size + this.#keptFiles.size + held > 0;
  }

  /** Continues under a new heartbeat, without the conversations: other hosts may run them by now. */
  #beginAnew(silentMs: number): void {
    const ids = this.conversationLocks.forfeit();
    this.#owner = { ...this.owner, heartbeat: this.#heartbeat?.id };
    this.#identified();
    if (this.#isBusy || ids.length > 0) this.#options.forfeited(ids, silentMs);
  }

  /**
   * Beats at once if a beat is overdue, as after a stop.
   *
   * Call it before anything is written in this host's name.
   */
  catchUp(): void {
    this.#heartbeat?.catchUp();
  }

  /** Returns the means to clean up after other hosts in this host's name. */
  async recovery(): Promise<RecoveryContext> {
    await this.identify();
    const { stateDir, ladder } = this.#options;
    const detector = this.#detector;
    const context = { os: this.#os, stateDir, ladder, detector, self: this.owner };
    const { cleanUp, disownedGone } = this.#options;
    const keptGone = (id: string) => {
      this.#keptFiles.forget(id);
      disownedGone(id);
    };
    return { ...context, dryRun: false, history: this.history, cleanUp, keptGone };
  }

  /** Resolves when processes started from now on are guarded, tagged, and can be launched. */
  get guarded(): Promise<unknown> | undefined {
    const parts = [this.#tagging.ready, this.#guardian?.ready, this.#os.prepareLaunch?.()];
    const pending = parts.filter((part) => part !== undefined);
    return pending.length === 0 ? undefined : Promise.all(pending);
  }

  /** The resource limit that carries the tag of launched processes. */
  get rlimitTag(): RlimitTagReport {
    return this.#tagging.state;
  }

  /** Returns the resource limits of a new child, and the tag that they bear. */
  tag(id: string, kept = false): LaunchTag {
    return this.#tagging.launch(recordNumber(id), kept);
  }

  /** Change of the wall clock against the monotonic clock since this registry opened, in ms. */
  get clockJumpMs(): number {
    const { clock } = this.#os;
    return clock.now() - this.#openedAt - (clock.monotonicMs() - this.#openedAtMs);
  }

  /** Takes the operator's request to end one of this host's processes, if there is one. */
  ordered(id: string): Order['cause'] | undefined {
    return takeOrder(this.#options.stateDir, { owner: this.owner.instance, id }, this.#os);
  }

  /** The guardian that ends this host's remains if it dies. */
  get guardian(): { readonly state: GuardianState; readonly pid: number | undefined } {
    if (this.#guardian !== undefined) return this.#guardian.describe();
    return { state: this.#os.guard === undefined ? 'unneeded' : 'off', pid: undefined };
  }

  /** Checks that the guardian is not stopped. */
  review(): void {
    this.#guardian?.review();
  }

  /** Rewrites this host's files that were removed or changed; tells whether their folder can be trusted. */
  check(): boolean {
    const { stateDir } = this.#options;
    const flaw = this.#journal.check();
    if (flaw !== undefined) this.#tellRewritten(this.#journal.path, flaw);
    if (!isPrivateFolder(stateDir, this.#os.userId())) return false;
    for (const files of [this.#keptFiles, this.conversationLocks, this.machine])
      for (const path of files?.check() ?? [])
        this.#tellRewritten(path, 'it was removed or changed');
    return true;
  }

  #tellRewritten(path: string, flaw: string): void {
    this.#warn('JOURNAL_REWRITTEN', `${path}: ${flaw} while its host lives; it is written anew.`);
  }

  /** Writes or rewrites a record. */
  add(record: SupervisionRecord): void {
    this.catchUp();
    const { bootId } = this.owner;
    // The record may be older than the known boot id.
    const stamped = record.bootId === bootId ? record : { ...record, bootId };
    if (record.outlivesHost) {
      this.#keptFiles.add(stamped);
      return;
    }
    // Only a process with its own group can be ended as a whole, except on Windows, which has no groups.
    if (record.group || this.#os.platform === 'win32')
      this.#guardian?.register(record.pid, record.startTime);
    this.#journal.add(stamped);
  }

  /** Forgets a record whose whole tree is dead. */
  remove({ id, pid, startTime, outlivesHost }: SupervisionRecord): void {
    if (outlivesHost) {
      this.#keptFiles.remove(id);
      return;
    }
    this.#guardian?.forget(pid, startTime);
    this.#journal.remove(id);
    if (this.#closing) this.close();
  }

  /**
   * Lets a process go: neither sweeps nor the guardian end it.
   *
   * It stands in a file of its own as long as its tree lives.
   */
  disown(record: SupervisionRecord): void {
    this.catchUp();
    // Its cleanup is nobody's to run any more.
    const { cleanup: _, ...kept } = record;
    const { id, pid, startTime } = kept;
    // In this order: whenever the host dies, somebody knows that it was let go, or nobody has lost it.
    this.#keptFiles.add({ ...kept, outlivesHost: true, disowned: true });
    this.#guardian?.spare(id);
    this.#guardian?.forget(pid, startTime);
    this.#guardian?.cleanedUp(id);
    this.keep(id);
    if (!record.outlivesHost) this.#journal.remove(id);
    if (this.#closing) this.close();
  }

  /** The limits by which a process of a record that was let go is lowered. */
  limitsOfDisowned(limits: Rlimits, id: string): Rlimits {
    return this.#tagging.letGo(limits, recordNumber(id));
  }

  /** Lets the guardian run a process's cleanup if this host dies first; not of one that outlives it. */
  guardCleanup(
    { id, outlivesHost }: SupervisionRecord,
    {
      command,
      args = [],
      timeoutMs,
      env,
    }: Omit<GuardedCleanup, 'args'> & {
      readonly args?: readonly string[] | undefined;
    },
  ): void {
    if (outlivesHost) return;
    // Without our own mark: by that, another host would end the command as one of our remains.
    const { [COOKIE_VARIABLE]: _, ...rest } = env;
    const { [COOKIE_VARIABLE]: inherited } = this.#os.environment();
    const ofGuardian = inherited === undefined ? rest : { ...rest, [COOKIE_VARIABLE]: inherited };
    this.#guardian?.addCleanup(id, { command, args, timeoutMs, env: ofGuardian });
  }

  /** Takes a process's cleanup back from the guardian: it was run. */
  cleanedUp(id: string): void {
    this.#guardian?.cleanedUp(id);
  }

  /** Lets the leftovers of a process live on. */
  keep(id: string): void {
    this.#options.kept.add(id);
  }

  /** Returns the segment that names an own record in a cookie. */
  segment(id: string, kept = false): string {
    return cookieSegment({ owner: this.owner.instance, id, kept });
  }

  /** Returns the cookie of a new child: the host's own, extended by a segment. */
  cookie(id: string, kept = false): string {
    const inherited = this.#os.environment()[COOKIE_VARIABLE];
    return extendCookie(inherited, { owner: this.owner.instance, id, kept });
  }

  /** Number of supervisors above this host. */
  get depth(): number {
    return depthOf(this.#os.environment()[COOKIE_VARIABLE]);
  }

  /** Closes the journal and disarms the guardian, at once or when the last record is gone. */
  close(): void {
    this.#closing = true;
    if (this.#journal.records.size > 0) return;
    this.#guardian?.disarm();
    this.machine?.close();
    this.#journal.close();
    this.#detector.close();
    // Kept processes cannot outlive the first process of this PID namespace, which this heartbeat shows.
    const isWitness = this.owner.pid === 1 && this.#keptFiles.size > 0;
    this.#heartbeat?.close({ isWitness });
    // An operator's request may have come too late.
    removeOrders(this.#options.stateDir, { owner: this.owner.instance });
  }
}
