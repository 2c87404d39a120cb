import { COOKIE_VARIABLE, type Os } from '../os/os.ts';
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

export interface RegistryOptions {
  readonly stateDir: string;
  /** Whose rest may live on; the supervisor's, as it outlasts us. */
  readonly kept: Set<string>;
  /** How long the guardian gives what we leave behind; `undefined` for no guardian. */
  readonly ladder: LadderOptions;
  readonly guardian: { readonly politeMs: number; readonly forcedMs: number } | undefined;
  /** Whether what is launched bears a tag beside its cookie. */
  readonly rlimitTag: boolean;
  warn(code: string, message: string, cause?: unknown): void;
  sweep(): Promise<unknown>;
  /** Others have taken us for dead, and may run the conversations of these records by now. */
  forfeited(ids: readonly string[], silentMs: number): void;
}

/** Who we are, what we own, how what we start is marked as ours, and who looks after it if we die. */
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
  #owner: Owner;
  #identifying: Promise<void> | undefined;
  #closing = false;

  /** Opens a journal of our own and calls a guardian; throws `STATE_DIR_UNSAFE` if the former cannot be done. */
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

  /** Looks up our own identity where the system tells it only later; `undefined` when it is known. */
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

  /** Writes who we are anew into all that we have written. */
  #identified(): void {
    this.#journal.identify(this.owner);
    this.#keptFiles.identify(this.owner);
    this.conversationLocks.identify();
  }

  get #isBusy(): boolean {
    return this.#journal.records.size + this.#keptFiles.size + this.conversationLocks.heldCount > 0;
  }

  /** Goes on under a new heartbeat, without the conversations: whoever gave us up may run them. */
  #beginAnew(silentMs: number): void {
    const ids = this.conversationLocks.forfeit();
    this.#owner = { ...this.owner, heartbeat: this.#heartbeat?.id };
    this.#identified();
    if (this.#isBusy || ids.length > 0) this.#options.forfeited(ids, silentMs);
  }

  /** Beats at once if that is overdue, as after a stop: before anything is written in our name. */
  catchUp(): void {
    this.#heartbeat?.catchUp();
  }

  /** What it takes to look after others' processes in our name. */
  async recovery(): Promise<RecoveryContext> {
    await this.identify();
    const { stateDir, ladder } = this.#options;
    const detector = this.#detector;
    const context = { os: this.#os, stateDir, ladder, detector, self: this.owner };
    return { ...context, dryRun: false, history: this.history };
  }

  /** Resolves when whatever we start from now on is guarded, and bears its tag, and can be launched. */
  get guarded(): Promise<unknown> | undefined {
    const parts = [this.#tagging.ready, this.#guardian?.ready, this.#os.prepareLaunch?.()];
    const pending = parts.filter((part) => part !== undefined);
    return pending.length === 0 ? undefined : Promise.all(pending);
  }

  /** By which resource limit what we launch is told apart. */
  get rlimitTag(): RlimitTagReport {
    return this.#tagging.state;
  }

  /** The limits of a new child, and the tag that they bear. */
  tag(id: string, kept = false): LaunchTag {
    return this.#tagging.launch(recordNumber(id), kept);
  }

  /** By how much the wall clock has gone another way than the monotonic one since we opened. */
  get clockJumpMs(): number {
    const { clock } = this.#os;
    return clock.now() - this.#openedAt - (clock.monotonicMs() - this.#openedAtMs);
  }

  /** What an operator has told us of the end of one of our processes. */
  ordered(id: string): Order['cause'] | undefined {
    return takeOrder(this.#options.stateDir, { owner: this.owner.instance, id }, this.#os);
  }

  /** Who looks after what we leave if we die. */
  get guardian(): { readonly state: GuardianState; readonly pid: number | undefined } {
    if (this.#guardian !== undefined) return this.#guardian.describe();
    return { state: this.#os.guard === undefined ? 'unneeded' : 'off', pid: undefined };
  }

  /** Looks after the guardian. */
  review(): void {
    this.#guardian?.review();
  }

  /** Writes anew what somebody has removed or changed of our files; tells whether their folder can be trusted. */
  check(): boolean {
    const { stateDir } = this.#options;
    const flaw = this.#journal.check();
    if (flaw !== undefined) this.#tellRewritten(this.#journal.path, flaw);
    if (!isPrivateFolder(stateDir, this.#os.userId())) return false;
    for (const path of [...this.#keptFiles.check(), ...this.conversationLocks.check()])
      this.#tellRewritten(path, 'it was removed or changed');
    return true;
  }

  #tellRewritten(path: string, flaw: string): void {
    this.#warn('JOURNAL_REWRITTEN', `${path}: ${flaw} while its host lives; it is written anew.`);
  }

  /** Writes a record, or writes it anew. */
  add(record: SupervisionRecord): void {
    this.catchUp();
    const { bootId } = this.owner;
    // It may be older than our knowledge of the boot.
    const stamped = record.bootId === bootId ? record : { ...record, bootId };
    if (record.outlivesHost) {
      this.#keptFiles.add(stamped);
      return;
    }
    // A group of its own can be ended as a whole; without one, only where there are none (Windows).
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

  /** Lets what is left of a process live on. */
  keep(id: string): void {
    this.#options.kept.add(id);
  }

  /** The segment that names one of our records in a cookie. */
  segment(id: string, kept = false): string {
    return cookieSegment({ owner: this.owner.instance, id, kept });
  }

  /** The cookie of a new child: the one the host itself carries, extended by ours. */
  cookie(id: string, kept = false): string {
    const inherited = this.#os.environment()[COOKIE_VARIABLE];
    return extendCookie(inherited, { owner: this.owner.instance, id, kept });
  }

  /** How many supervisors this host is below. */
  get depth(): number {
    return depthOf(this.#os.environment()[COOKIE_VARIABLE]);
  }

  /** Closes the journal and sends the guardian home, at once or when the last record is gone. */
  close(): void {
    this.#closing = true;
    if (this.#journal.records.size > 0) return;
    this.#guardian?.disarm();
    this.#journal.close();
    this.#detector.close();
    // What outlives us cannot outlive the first process of our PID namespace, which this heartbeat shows.
    const isWitness = this.owner.pid === 1 && this.#keptFiles.size > 0;
    this.#heartbeat?.close({ isWitness });
    // An operator may have been too late with one.
    removeOrders(this.#options.stateDir, { owner: this.owner.instance });
  }
}
