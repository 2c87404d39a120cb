import { AsyncResource } from 'node:async_hooks';
import { SupervisorError } from '../errors.ts';
import type { Emit, ProcessSubject } from '../events.ts';
import type { Os } from '../os/os.ts';
import type { Conversations, Turn, TurnRequest } from '../policy/conversations.ts';
import type { Pool, Slot, Waiter } from '../policy/pool.ts';
import type { EndReport } from '../reports.ts';
import type { Handle, HandleControls } from './handle.ts';
import type { CheckedRequest } from './request.ts';

/**
 * The SDK cancels by ending stdin and sends SIGTERM about 2 s later: a start in between would run
 * an aborted query (measured, SDK 0.3.330).
 */
const CANCEL_GRACE_MS = 2500;
const NOTICE_MS = 60_000;

/** What a queued start needs of its supervisor. */
export interface QueueContext {
  readonly os: Os;
  readonly pool: Pick<Pool, 'request' | 'waiting'>;
  readonly conversations: Conversations;
  readonly emit: Emit;
  readonly queued: Set<QueuedStart>;
  /** The ids of the processes that hold the slots. */
  holders(): string[];
}

/** What a start needs besides. */
export interface StartContext extends QueueContext {
  /** Whether the SDK has asked for it, and may cancel in its way. */
  readonly isClaude: boolean;
}

/** What was granted: the slot and the conversations, of which there may be none, and more later. */
export interface Admission {
  readonly turns: Turn[];
  release(): void;
}

/** Which conversation the process will run, and what becomes of the agent that runs it now. */
export type TurnWish = Omit<TurnRequest, 'granted' | 'refused'>;

/** What becomes of it: exactly one of them is called, once. */
export interface QueueOutcome {
  start(admission: Admission): void;
  /** `signal` is set when the caller took the request back. */
  refuse(error: SupervisorError, signal: NodeJS.Signals | undefined): void;
}

/** A request for a slot and a conversation: granted at once if both are free, else queued until it is granted, refused or taken back. */
export class QueuedStart implements HandleControls {
  readonly sessionId: string | undefined;
  readonly #context: StartContext;
  readonly #handle: Handle;
  readonly #signal: AbortSignal | undefined;
  readonly #wish: TurnWish | undefined;
  readonly #outcome: QueueOutcome;
  readonly #waiter: Waiter;
  #state: 'asking' | 'queued' | 'over' = 'asking';
  /** The context in which it asked (AsyncLocalStorage): it starts there, whoever released the slot. */
  #asker: AsyncResource | undefined;
  #slot: Slot | undefined;
  #turn: Turn | undefined;
  #giveUpTurn: () => void = () => undefined;
  #stdinEndedAtMs: number | undefined;
  #cancelledBy: NodeJS.Signals | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(
    context: StartContext,
    handle: Handle,
    request: CheckedRequest,
    wish: TurnWish | undefined,
    outcome: QueueOutcome,
  ) {
    this.sessionId = request.sessionId;
    this.#context = context;
    this.#handle = handle;
    this.#signal = request.signal;
    this.#wish = wish;
    this.#outcome = outcome;
    this.#waiter = context.pool.request({
      sessionId: request.sessionId,
      priority: request.priority,
      timeoutMs: undefined,
      signal: request.signal,
      atHead: wish && (() => context.conversations.prepare(wish, () => this.#state === 'queued')),
      granted: (slot) => this.#asAsker(() => this.#granted(slot)),
      refused: (error) => this.#refused(error),
    });
    if (this.#state === 'asking')
      this.#queue({ id: handle.id, kind: request.kind, sessionId: request.sessionId });
  }

  /** The caller takes the request back, as the SDK does when its query is closed or aborted. */
  kill(signal: NodeJS.Signals): boolean {
    if (this.#state === 'over') return false;
    this.#cancelledBy = signal;
    this.refuse(
      new SupervisorError(
        'ABORTED',
        'The request was taken back before it had a slot; nothing was started.',
      ),
    );
    return true;
  }

  async terminate(): Promise<EndReport> {
    const { clock } = this.#context.os;
    const beganMs = clock.monotonicMs();
    this.kill('SIGTERM');
    const ended = [await this.#handle.exited];
    return { ended, survivors: [], unproven: [], durationMs: clock.monotonicMs() - beganMs };
  }

  /** Refuses the request unless it has started. */
  refuse(error: SupervisorError): void {
    if (this.#state === 'over') return;
    if (this.#slot !== undefined) this.#refused(error);
    else this.#waiter.refuse(error);
  }

  #queue(subject: ProcessSubject): void {
    const { os, pool, emit, queued, holders, isClaude } = this.#context;
    this.#state = 'queued';
    this.#asker = new AsyncResource('QueuedStart');
    queued.add(this);
    this.#handle.control(this);
    this.#handle.queue(() => {
      if (isClaude) this.#stdinEndedAtMs = os.clock.running.monotonicMs();
    });
    emit('queued', { ...subject, waiting: pool.waiting.size });
    const sinceMs = os.clock.monotonicMs();
    // Kept alive: a host with nothing else to do would exit with its query unanswered (code 13).
    const remind = (): void => {
      this.#cancelTimer = os.clock.after(
        NOTICE_MS,
        () => {
          emit('waiting', {
            ...subject,
            waitedMs: os.clock.monotonicMs() - sinceMs,
            holders: holders(),
          });
          remind();
        },
        { keepAlive: true },
      );
    };
    remind();
  }

  #granted(slot: Slot): void {
    this.#slot = slot;
    // The pool does not listen for it any more.
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#wish === undefined) this.#startInTime();
    // Nobody is ended for a request that is over: a lease's own slot is granted whatever its signal says.
    else if (this.#signal?.aborted) this.#onAbort();
    else this.#askForTurn(this.#wish);
  }

  #askForTurn(wish: TurnWish): void {
    try {
      this.#giveUpTurn = this.#context.conversations.request({
        ...wish,
        granted: (turn) =>
          this.#asAsker(() => {
            this.#turn = turn;
            this.#startInTime();
          }),
        refused: (error) => this.#refused(error),
      });
    } catch (error) {
      // There is no registry to be had, and thus no claim.
      this.#refused(error as SupervisorError);
    }
  }

  /** Starts, unless the caller may be about to take the request back. */
  #startInTime(): void {
    const { running } = this.#context.os.clock;
    const sinceEndMs =
      this.#stdinEndedAtMs === undefined
        ? CANCEL_GRACE_MS
        : running.monotonicMs() - this.#stdinEndedAtMs;
    if (sinceEndMs >= CANCEL_GRACE_MS) {
      this.#start();
      return;
    }
    this.#cancelTimer();
    this.#cancelTimer = running.after(CANCEL_GRACE_MS - sinceEndMs, () => this.#start(), {
      keepAlive: true,
    });
  }

  #start(): void {
    this.#leave();
    const turns = this.#turn ? [this.#turn] : [];
    const slot = this.#slot;
    this.#outcome.start({
      turns,
      release() {
        for (const turn of turns) turn.release();
        slot?.release();
      },
    });
  }

  #refused(error: SupervisorError): void {
    if (this.#signal?.aborted) this.#cancelledBy ??= 'SIGTERM';
    this.#leave();
    this.#giveUpTurn();
    this.#turn?.release();
    this.#slot?.release();
    this.#outcome.refuse(error, this.#cancelledBy);
  }

  #asAsker(act: () => void): void {
    if (this.#asker) this.#asker.runInAsyncScope(act);
    else act();
  }

  #leave(): void {
    this.#state = 'over';
    this.#cancelTimer();
    this.#context.queued.delete(this);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => void this.kill('SIGTERM');
}
