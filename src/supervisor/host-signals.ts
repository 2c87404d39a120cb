import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import type { Os } from '../os/os.ts';

/** A signal that asks the host to end; any that a process can listen for. */
export type HostSignal = Exclude<NodeJS.Signals, 'SIGKILL' | 'SIGSTOP'>;

/** Those of every platform: one that this platform lacks is never received. */
const CATCHABLE = [
  ...['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGBREAK', 'SIGUSR1', 'SIGUSR2', 'SIGABRT'],
  ...['SIGALRM', 'SIGBUS', 'SIGCHLD', 'SIGCONT', 'SIGFPE', 'SIGILL', 'SIGINFO', 'SIGIO', 'SIGIOT'],
  ...['SIGLOST', 'SIGPIPE', 'SIGPOLL', 'SIGPROF', 'SIGPWR', 'SIGSEGV', 'SIGSTKFLT', 'SIGSYS'],
  ...['SIGTRAP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGUNUSED', 'SIGURG', 'SIGVTALRM', 'SIGWINCH'],
  ...['SIGXCPU', 'SIGXFSZ'],
] as readonly string[] as readonly HostSignal[];

const DEFAULT_SIGNALS: readonly HostSignal[] = ['SIGTERM', 'SIGINT', 'SIGHUP'];

const hostSignal = z.lazy(() =>
  z.custom<HostSignal>((value) => CATCHABLE.includes(value as HostSignal), {
    error: 'must be the name of a signal that a process can listen for, such as SIGUSR2',
  }),
);

/** @internal */
export const hostSignalOptions = z.lazy(() =>
  z.strictObject({
    name: z.optional(z.string().check(z.minLength(1))),
    signals: z._default(z.readonly(z.array(hostSignal)), DEFAULT_SIGNALS),
    message: z.optional(z.string().check(z.minLength(1))),
    disconnect: z._default(z.boolean(), false),
    finishMs: z.optional(durationMs()),
    deadlineMs: z.optional(durationMs()),
    hook: z.optional(
      z.custom<(signal: HostSignal) => unknown>((value) => typeof value === 'function', {
        error: 'must be a function',
      }),
    ),
    hookTimeoutMs: z._default(durationMs(), 5000),
  }),
);

/** The options of `handleSignals`. */
export interface HostSignalOptions {
  /** Replaces an earlier call with the same name, as after a hot reload; calls without one add up. */
  name?: string | undefined;
  /** Any but SIGKILL and SIGSTOP; nodemon, for one, sends SIGUSR2. @default ['SIGTERM', 'SIGINT', 'SIGHUP'] */
  signals?: readonly HostSignal[] | undefined;
  /** A message from the parent that is taken for a SIGTERM; PM2 sends `'shutdown'`. */
  message?: string | undefined;
  /** Takes the end of the parent's IPC channel for a SIGTERM. @default false */
  disconnect?: boolean | undefined;
  /** As in `stop`; of several calls the latest counts. */
  finishMs?: number | undefined;
  /** As in `stop`; of several calls the latest counts. */
  deadlineMs?: number | undefined;
  /** The host's own part of the shutdown, run beside ours; it may throw or hang, ours completes. */
  hook?: ((signal: HostSignal) => unknown) | undefined;
  /** The longest wait for the hook, in ms; a signal that forces the end ends it, too. @default 5000 */
  hookTimeoutMs?: number | undefined;
}

/** @internal */
type Handler = z.output<typeof hostSignalOptions>;

/** @internal The parts of a supervisor that the handling of signals needs. */
export interface HostSignalParts {
  readonly os: Os;
  /** The graceful end: all of it, or as much as the deadline allowed. */
  stop(options: Pick<Handler, 'finishMs' | 'deadlineMs'>, reason: string): Promise<unknown>;
  /** Makes an end that is under way a forced one. */
  force(): void;
  warn(code: string, message: string, cause?: unknown): void;
}

/** npm and concurrently hand on what the terminal has sent already: 2 to 21 ms later (measured). */
const REPEAT_MS = 1000;
const STAYS_MS = 5000;

const NO_SIGNALS =
  'handleSignals does nothing in a worker thread, which receives no signals. Call it in the main thread, or call stop() here on a message from there.';

/**
 * Ends everything on a signal, and by force on a later one; then uninstalls itself. If nobody else
 * listens, it raises the signal again, so that the host dies of it as its parent expects.
 *
 * @internal
 */
export class HostSignals {
  readonly #parts: HostSignalParts;
  readonly #handlers = new Set<Handler>();
  /** The functions that stop listening, by signal or event. */
  readonly #listening = new Map<string, () => void>();
  #ending: { readonly signal: HostSignal; readonly atMs: number } | undefined;
  readonly #endHooks = new Set<() => void>();

  constructor(parts: HostSignalParts) {
    this.#parts = parts;
  }

  /** Adds a handler; returns how to take it off, which may be called again. */
  add(handler: Handler): () => void {
    if (!this.#parts.os.isMainThread) {
      this.#parts.warn('HOST_SIGNAL', NO_SIGNALS);
      return () => undefined;
    }
    for (const former of this.#handlers)
      if (handler.name !== undefined && former.name === handler.name) this.#handlers.delete(former);
    this.#handlers.add(handler);
    this.#listen();
    return () => {
      this.#handlers.delete(handler);
      this.#listen();
    };
  }

  /** Listens once for whatever any handler names, and for nothing else. */
  #listen(): void {
    const { os } = this.#parts;
    const handlers = [...this.#handlers];
    const wanted = new Map<string, () => () => void>();
    for (const signal of handlers.flatMap(({ signals }) => signals))
      wanted.set(signal, () => os.onSignal(signal, () => this.#onSignal(signal)));
    if (handlers.some(({ message }) => message !== undefined))
      wanted.set('message', () => os.onParent('message', (said) => this.#onMessage(said)));
    if (handlers.some(({ disconnect }) => disconnect))
      wanted.set('disconnect', () => os.onParent('disconnect', () => this.#onDisconnect()));
    for (const [what, off] of this.#listening) {
      if (wanted.has(what)) continue;
      this.#listening.delete(what);
      off();
    }
    for (const [what, on] of wanted)
      if (!this.#listening.has(what)) this.#listening.set(what, on());
  }

  #onSignal(signal: HostSignal): void {
    const ending = this.#ending;
    if (ending === undefined) {
      void this.#end(signal, signal, ({ signals }) => signals.includes(signal));
      return;
    }
    const nowMs = this.#parts.os.clock.monotonicMs();
    if (signal === ending.signal && nowMs - ending.atMs < REPEAT_MS) return;
    this.#parts.force();
    for (const endHook of this.#endHooks) endHook();
  }

  #onMessage(said: unknown): void {
    if (this.#ending !== undefined || ![...this.#handlers].some(({ message }) => message === said))
      return;
    void this.#end('SIGTERM', `message "${said}"`, ({ message }) => message === said);
  }

  #onDisconnect(): void {
    if (this.#ending !== undefined) return;
    void this.#end('SIGTERM', 'the IPC channel was closed', ({ disconnect }) => disconnect);
  }

  async #end(
    signal: HostSignal,
    reason: string,
    isAsked: (handler: Handler) => boolean,
  ): Promise<void> {
    const { os, stop, warn } = this.#parts;
    this.#ending = { signal, atMs: os.clock.monotonicMs() };
    const asked = [...this.#handlers].filter(isAsked);
    // Asked now: a listener for once is gone when we are done. Nobody listens for a signal that was not sent.
    const isAnswered = reason === signal && os.signalListeners(signal).host > 0;
    const { finishMs, deadlineMs } = asked.at(-1) ?? {};
    await Promise.all([
      stop({ finishMs, deadlineMs }, reason),
      ...asked.map((handler) => this.#runHook(handler, signal)),
    ]).catch((error) => warn('HOST_SIGNAL', 'stop failed', error));
    this.#handlers.clear();
    this.#listen();
    this.#ending = undefined;
    this.#leave(signal, isAnswered);
  }

  /** Dies of the signal, unless the host has an answer of its own, or another supervisor is not done. */
  #leave(signal: HostSignal, isAnswered: boolean): void {
    const { os, warn } = this.#parts;
    const { host, ours } = os.signalListeners(signal);
    if (ours > 0) return;
    os.clock.after(STAYS_MS, () => {
      const why =
        isAnswered || host > 0
          ? `other listeners for ${signal} keep it from dying of the signal`
          : `it did not die of ${signal}`;
      warn(
        'HOST_STAYS',
        `Everything has ended on ${signal}, but the host lives on after ${STAYS_MS} ms: ${why}. End the process there, or listen by a hook of handleSignals instead.`,
      );
    });
    if (!isAnswered && host === 0) os.raise(signal);
  }

  async #runHook({ hook, hookTimeoutMs }: Handler, signal: HostSignal): Promise<void> {
    if (hook === undefined) return;
    const { os, warn } = this.#parts;
    const { promise: over, resolve: endHook } = Promise.withResolvers<void>();
    const cancel = os.clock.running.after(hookTimeoutMs, endHook, { keepAlive: true });
    this.#endHooks.add(endHook);
    const work = (async () => hook(signal))().catch((error) =>
      warn('HOST_SIGNAL', `the host's hook for ${signal} failed`, error),
    );
    await Promise.race([work, over]);
    cancel();
    this.#endHooks.delete(endHook);
  }
}
