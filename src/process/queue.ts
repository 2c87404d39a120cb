import { AsyncResource } from 'node:async_hooks';
import { CANCEL_GRACE_MS } from '../claude-code/cancel-grace.ts';
import { SupervisorError } from '../errors.ts';
import { ConversationLease } from '../policy/conversation-lease.ts';
import { PoolEntry } from '../policy/pool-entry.ts';
import { QueueEntry } from '../policy/queue-entry.ts';
import { Slot } from '../policy/slot.ts';
import type { WaitsFor } from '../reports.ts';
import type { Answer, Place } from './admission.ts';
import type { ManagedProcess } from './managed-process.ts';
import type { Supervision } from './supervision.ts';

const NOTICE_MS = 60_000;
/** Time after which a request hears that its own session holds the slots. */
const OWN_SESSION_MS = 5000;

/** Queues a request; `settle` is called once, when it may start or is refused. */
export function waitInQueue(
  s: Supervision,
  p: ManagedProcess,
  entry: Place,
  settle: (answer: Slot | SupervisorError) => void,
): void {
  new QueuedRequest(s, p, entry, settle);
}

/** A request that waits for its slot, its conversation, and the end of the cancel grace. */
class QueuedRequest {
  readonly #s: Supervision;
  readonly #p: ManagedProcess;
  readonly #settle: (answer: Slot | SupervisorError) => void;
  /** The request's own async context (AsyncLocalStorage): the start runs in it, whoever released the slot. */
  readonly #context = new AsyncResource('QueuedRequest');
  #entry: Place | undefined;
  #isOver = false;
  #stdinEndedAtMs: number | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(
    s: Supervision,
    p: ManagedProcess,
    entry: Place,
    settle: (answer: Slot | SupervisorError) => void,
  ) {
    const { os, admission, emit, queued } = s;
    this.#s = s;
    this.#p = p;
    this.#settle = settle;
    this.#waitFor(entry);
    queued.add(p);
    p.queue((error) => this.#refuse(error));
    p.handle.queue(() => {
      this.#stdinEndedAtMs = os.clock.running.monotonicMs();
    });
    const [waitsFor, reason] = [this.#waitsFor, this.#reason];
    emit('queued', {
      ...p.subject,
      waiting: admission.pool.waiting.size,
      waitsFor,
      reason,
    });
    if (!this.#isOver)
      this.#remind(os.clock.monotonicMs(), p.subject.sessionId ? OWN_SESSION_MS : NOTICE_MS);
    this.#listen();
  }

  #refuse(error: SupervisorError): void {
    this.#entry?.leave();
    this.#refused(error);
  }

  /** Emits `waiting` once a minute, and after some seconds if it may wait for its own session. */
  #remind(sinceMs: number, afterMs: number): void {
    const { clock } = this.#s.os;
    // Keeps the host alive: without other work it would exit with its query unanswered (code 13).
    this.#cancelTimer = clock.after(
      afterMs,
      () => {
        const isFirst = afterMs === OWN_SESSION_MS;
        this.#notify(clock.monotonicMs() - sinceMs, isFirst);
        const nextMs = isFirst ? NOTICE_MS - OWN_SESSION_MS : NOTICE_MS;
        if (!this.#isOver) this.#remind(sinceMs, nextMs);
      },
      { keepAlive: true },
    );
  }

  #notify(waitedMs: number, isFirst: boolean): void {
    const { emit, live } = this.#s;
    const { subject, slot, holdsSlot } = this.#p;
    const waitsFor = this.#waitsFor;
    const holders = [...live.values()].filter((other) => waitsFor && other.holds(waitsFor));
    const isOfSession = ({ subject: { sessionId } }: ManagedProcess) =>
      sessionId !== undefined && sessionId === subject.sessionId;
    const isForKey = waitsFor?.cause === 'key';
    const mayWaitForItself = isForKey || (holdsSlot && slot === undefined);
    const ofSession = mayWaitForItself ? holders.filter(isOfSession).map(({ id }) => id) : [];
    if (isFirst && ofSession.length === 0) return;
    const wayOut = isForKey ? 'leave its key out' : 'pass slot: false';
    const advice = `processes of its own session are among the holders (${ofSession.join(', ')}): if one of them waits for this one, ${wayOut}`;
    const reason = ofSession.length === 0 ? this.#reason : `${this.#reason}; ${advice}`;
    const ids = holders.map(({ id }) => id);
    emit('waiting', { ...subject, waitedMs, waitsFor, holders: ids, ofSession, reason });
  }

  get #reason(): string {
    return this.#entry instanceof PoolEntry
      ? this.#entry.reason
      : this.#s.admission.whyWaiting(this.#p);
  }

  /** `undefined` while it waits for its conversation, or for the cancel grace. */
  get #waitsFor(): WaitsFor | undefined {
    return this.#entry instanceof PoolEntry ? this.#entry.waitsFor : undefined;
  }

  #waitFor(entry: Place): void {
    this.#entry = entry;
    entry.onAnswer((answer) => this.#answered(answer));
  }

  /** Listens for the caller's abort signal, once the pool no longer does. */
  #listen(): void {
    const { signal } = this.#p.request;
    if (this.#p.slot === undefined || this.#isOver) return;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
  }

  #answered(answer: Slot | ConversationLease | SupervisorError): void {
    this.#entry = undefined;
    const { admission } = this.#s;
    const p = this.#p;
    if (answer instanceof SupervisorError) this.#refused(answer);
    else
      this.#context.runInAsyncScope(() => {
        if (answer instanceof ConversationLease)
          this.#granted(admission.conversationGranted(p, answer));
        else this.#granted(admission.askForConversation(p, answer));
      });
  }

  #granted(answer: Answer): void {
    if (answer instanceof SupervisorError) {
      this.#refused(answer);
      return;
    }
    if (answer instanceof QueueEntry) this.#waitFor(answer);
    this.#listen();
    if (this.#isOver) {
      // The question emitted a warning, and the host's listener took the request back.
      this.#entry?.leave();
      this.#p.release();
    } else if (answer instanceof Slot) this.#startInTime(answer);
  }

  /** Starts the process, or delays it while the caller may be about to cancel. */
  #startInTime(slot: Slot): void {
    const { running } = this.#s.os.clock;
    const graceMs = this.#p.request.output === 'stream-json' ? CANCEL_GRACE_MS : 0;
    const sinceEndMs = running.monotonicMs() - (this.#stdinEndedAtMs ?? Number.NEGATIVE_INFINITY);
    if (sinceEndMs >= graceMs) {
      this.#over(slot);
      return;
    }
    this.#cancelTimer();
    this.#cancelTimer = running.after(graceMs - sinceEndMs, () => this.#over(slot), {
      keepAlive: true,
    });
  }

  #refused(error: SupervisorError): void {
    if (this.#isOver) return;
    const p = this.#p;
    if (p.request.signal?.aborted) p.takenBackBy ??= 'SIGTERM';
    this.#over(error);
  }

  #over(answer: Slot | SupervisorError): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#s.queued.delete(this.#p);
    this.#p.request.signal?.removeEventListener('abort', this.#onAbort);
    this.#settle(answer);
  }

  readonly #onAbort = (): void => void this.#p.kill('SIGTERM');
}
