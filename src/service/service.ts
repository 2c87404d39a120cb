import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import {
  type EndReport,
  type ExitReport,
  isSupervisorError,
  type ServiceState,
  type SupervisedProcess,
  type Supervisor,
  type SupervisorError,
  type SupervisorErrorCode,
} from '../index.ts';
import { builtin } from '../os/builtin.ts';
import { sleep } from '../os/clock.ts';
import { LATE, within } from '../os/wait.ts';
import type { SupervisorInternals } from '../supervisor/internals.ts';
import type { CheckedDefinition } from './definition.ts';
import { partsOf, type ServiceParts } from './parts.ts';
import { untilReady } from './readiness.ts';
import { circuitOpen, closed, notAlone, stopping } from './refusals.ts';
import { restartRuleOf } from './restart-rule.ts';

/** A process that runs once, for as long as it is wanted. */
export interface Service extends AsyncDisposable {
  readonly name: string;
  readonly state: ServiceState;
  /**
   * Gives the one live process, ready; starts it if there is none. All who ask at once share one start.
   *
   * @throws SupervisorError by rejection: `READY_TIMEOUT`, `SPAWN_FAILED`, `CIRCUIT_OPEN` with
   * `data.retryInMs`, `ALREADY_RUNNING` if its place is taken, `STOPPING` once it is closed, or what
   * else prevents a start
   */
  ensure(): Promise<SupervisedProcess>;
  /** Ends the process with its tree, starts no other, and gives the name back; resolves when it is seen dead. */
  close(options?: { reason?: string | undefined }): Promise<EndReport>;
}

/** The errors of a start that would be no other if it were tried again at once. */
const FAILURES: ReadonlySet<SupervisorErrorCode> = new Set([
  'READY_TIMEOUT',
  'SPAWN_FAILED',
  'COMMAND_NOT_FOUND',
  'CWD_NOT_FOUND',
  'ALREADY_RUNNING',
]);

const closeOptions = z.prefault(z.strictObject({ reason: z.optional(z.string()) }), {});

const NOTHING_ENDED: EndReport = { ended: [], survivors: [], unproven: [], durationMs: 0 };

/** The longest wait for a process that is ending, where `ready` sets no time. */
const PATIENCE_MS = 30_000;

/** The fields of a definition that a start uses. */
function startOf({ command, args, env, cwd }: CheckedDefinition['request']) {
  return { command, args, env, cwd };
}

/** @internal */
export class SupervisedService implements Service {
  readonly #internals: SupervisorInternals;
  readonly #definition: CheckedDefinition;
  readonly #parts: ServiceParts;
  readonly #offs: readonly (() => void)[];
  #state: ServiceState = 'idle';
  /** The answer of `ensure`: a start under way, or the live process. */
  #current: Promise<SupervisedProcess> | undefined;
  /** The last one, until its whole tree is dead. */
  #process: SupervisedProcess | undefined;
  #ready: { readonly process: SupervisedProcess; readonly sinceMs: number } | undefined;
  #giveUp = new AbortController();
  /** The service comes back by itself: it was ready, and its end was not intended. */
  #isWanted = false;
  #startsAtMs = 0;
  #openUntilMs = 0;
  #lastFailure: SupervisorError | undefined;
  #cancelTimer: () => void = () => undefined;
  #closing: Promise<EndReport> | undefined;

  /** `before`: what an earlier service of this name has left alive. */
  constructor(supervisor: Supervisor, definition: CheckedDefinition, before?: SupervisedService) {
    this.#internals = supervisor.internals;
    this.#definition = { ...definition };
    this.#process = before === undefined ? undefined : before.#process;
    this.#parts = partsOf(supervisor, this.#definition);
    this.#offs = [
      supervisor.on('stopping', () => this.#onStopping()),
      supervisor.on('swept', () => this.#parts.file.touch()),
    ];
  }

  get name(): string {
    return this.#definition.name;
  }

  get state(): ServiceState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get #clock(): SupervisorInternals['os']['clock'] {
    return this.#internals.os.clock;
  }

  /** Takes another definition of the same name: its functions at once, what it starts from its next start on. */
  redefine(definition: CheckedDefinition): void {
    const isAnother = !builtin('node:util').isDeepStrictEqual(
      startOf(this.#definition.request),
      startOf(definition.request),
    );
    // In place: its parts read it each time.
    Object.assign(this.#definition, definition);
    if (isAnother && this.#current !== undefined)
      this.#internals.warn(
        'DEFINITION_REPLACED',
        `Service "${this.name}" was defined again, and what it starts has changed. The process that runs is the former one; close() the service to have the new one at once.`,
      );
  }

  ensure(): Promise<SupervisedProcess> {
    if (this.#current !== undefined) return this.#current;
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    // A caller may come before the timer that is due.
    if (this.#state === 'open') this.#enter('half-open');
    this.#current = this.#start();
    return this.#current;
  }

  close(options?: { reason?: string | undefined }): Promise<EndReport> {
    this.#closing ??= this.#close(parseInput(closeOptions, options, 'close').reason);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #start(): Promise<SupervisedProcess> {
    this.#giveUp = new AbortController();
    const { signal } = this.#giveUp;
    const { ready, request, name } = this.#definition;
    let process: SupervisedProcess | undefined;
    try {
      await this.#awaitPredecessor();
      await this.#assertMayStart();
      await this.#awaitBackoff(signal);
      this.#enter('starting');
      await this.#parts.endpoint.clear();
      signal.throwIfAborted();
      process = this.#internals.spawnServer(request, true);
      this.#take(process);
      await untilReady(process, ready, { name, internals: this.#internals, signal });
      this.#welcome(process);
      return process;
    } catch (error) {
      const report = process && (await this.#endUnready(process));
      this.#current = undefined;
      throw this.#fail(signal.aborted ? signal.reason : error, report);
    }
  }

  /** Waits until nothing of the last process is alive, and what follows from its end is known. */
  async #awaitPredecessor(): Promise<void> {
    const last = this.#process;
    // Always a turn later: a start that fails at once would be remembered as the current one.
    await undefined;
    if (last === undefined) return;
    const patienceMs = this.#definition.ready?.timeoutMs ?? PATIENCE_MS;
    const exit = await within(patienceMs, last.exited, this.#clock.running);
    if (exit === LATE) throw notAlone(this.name, last.pid);
  }

  async #assertMayStart(): Promise<void> {
    this.#parts.file.identify((await this.#internals.recovery()).self);
    // Others may have found out meanwhile that it does not work.
    const { openForMs } = this.#parts.breaker;
    const known = this.#refusal();
    if (known === undefined && openForMs > 0) this.#open(openForMs, 'another host found so');
    const refusal = known ?? this.#refusal();
    if (refusal !== undefined) throw refusal;
  }

  /** Waits for the end of the backoff; it keeps the host alive, as a queued start does. */
  async #awaitBackoff(signal: AbortSignal): Promise<void> {
    const waitMs = this.#startsAtMs - this.#clock.monotonicMs();
    if (waitMs <= 0) return;
    this.#enter('waiting', `it is started again in ${Math.ceil(waitMs)} ms`);
    await sleep(waitMs, this.#clock, signal);
    signal.throwIfAborted();
  }

  /** Takes a process that has just been started. */
  #take(process: SupervisedProcess): void {
    this.#process = process;
    process.once('exit', () => this.#onExit(process));
    void process.exited.then(() => {
      if (this.#process === process) this.#process = undefined;
    });
  }

  #welcome(process: SupervisedProcess): void {
    const { comesBack, breaker } = this.#definition;
    const { running } = this.#clock;
    this.#ready = { process, sinceMs: running.monotonicMs() };
    this.#isWanted = comesBack;
    this.#parts.endpoint.take(process.id);
    this.#internals.started(process.id);
    this.#cancelTimer();
    this.#cancelTimer = running.after(breaker.stableMs, () => this.#parts.breaker.reset());
    this.#enter('ready');
  }

  /** A process that was not ready says itself why not. */
  #onExit(process: SupervisedProcess): void {
    if (this.#ready?.process !== process) return;
    const isFailure =
      this.#clock.running.monotonicMs() - this.#ready.sinceMs < this.#definition.breaker.stableMs;
    const asked = this.#internals.wasAsked(process.id);
    this.#ready = undefined;
    this.#current = undefined;
    this.#cancelTimer();
    const how = process.signalCode ?? `code ${process.exitCode}`;
    if (this.#closing === undefined) this.#enter('idle', `it has exited (${how})`);
    // Before any start that waits for its death.
    void process.exited.then((report) => this.#follow(report, asked, isFailure));
  }

  /** Decides what follows from the end of a process that was ready. */
  #follow(report: ExitReport, asked: boolean, isFailure: boolean): void {
    const rule = restartRuleOf(report.cause, asked);
    this.#isWanted = this.#definition.comesBack && rule === 'automatic';
    if (rule === 'on-demand') return;
    this.#count(report, isFailure);
    this.#comeBack();
  }

  /** Ends what did not become ready; returns its report, if it is dead. */
  async #endUnready(process: SupervisedProcess): Promise<ExitReport | undefined> {
    const reason = `service "${this.name}" did not become ready`;
    const { ended, survivors } = await process.terminate({ reason });
    return survivors.length > 0 ? undefined : ended[0];
  }

  /** Decides what follows from a start that failed; returns what its callers are told. */
  #fail(error: unknown, report: ExitReport | undefined): unknown {
    if (this.#closing !== undefined) return error;
    const isCounted = isSupervisorError(error) && FAILURES.has(error.code);
    if (isCounted) {
      this.#lastFailure = error;
      this.#count(report?.pid === undefined ? undefined : report, true);
    } else this.#isWanted = false;
    if (this.#state !== 'open')
      this.#enter('idle', error instanceof Error ? error.message : String(error));
    // No queueMicrotask, which a test may fake.
    void Promise.resolve().then(() => this.#comeBack());
    return error;
  }

  #count(report: ExitReport | undefined, isFailure: boolean): void {
    const delay = this.#parts.pacer.count(report, isFailure);
    if (delay.openForMs !== undefined) this.#open(delay.openForMs, delay.why);
    else this.#startsAtMs = this.#clock.monotonicMs() + delay.delayMs;
  }

  #open(forMs: number, why: string): void {
    this.#openUntilMs = this.#clock.monotonicMs() + forMs;
    this.#enter('open', why);
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(forMs, () => {
      this.#openUntilMs = 0;
      if (this.#state === 'open') this.#enter('half-open');
      this.#comeBack();
    });
  }

  /** Starts the service unasked, if it is still wanted and no call has started it meanwhile. */
  #comeBack(): void {
    if (this.#isWanted && this.#refusal() === undefined) this.ensure().catch(() => undefined);
  }

  #refusal(): SupervisorError | undefined {
    if (this.#closing !== undefined) return closed(this.name);
    const retryInMs = Math.ceil(this.#openUntilMs - this.#clock.monotonicMs());
    if (retryInMs <= 0) return undefined;
    return circuitOpen(this.name, retryInMs, this.#lastFailure);
  }

  #onStopping(): void {
    this.#isWanted = false;
    // What runs is the stop's to end.
    if (this.#state === 'waiting') this.#giveUp.abort(stopping(this.name));
  }

  async #close(reason: string | undefined): Promise<EndReport> {
    const starting = this.#current;
    this.#enter('closing', reason);
    this.#cancelTimer();
    this.#giveUp.abort(closed(this.name));
    try {
      const ended = await this.#process?.terminate({ reason });
      // A start that was under way has ended what it had begun.
      await starting?.catch(() => undefined);
      return ended ?? NOTHING_ENDED;
    } finally {
      for (const off of this.#offs) off();
      this.#enter('closed');
      // What is still alive would be in the way of the next one of this name.
      if (this.#process === undefined) this.#internals.services.delete(this.name);
    }
  }

  #enter(state: ServiceState, reason?: string): void {
    const from = this.#state;
    if (from === state) return;
    this.#state = state;
    const { name, pid } = this;
    this.#internals.emit('service', { name, from, state, pid, reason });
  }
}
