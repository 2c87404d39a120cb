import * as z from 'zod/mini';
import type { Os } from '../os/os.ts';
import { durationMs } from '../validation.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** A signal that asks the host to end. */
export type HostSignal = (typeof SIGNALS)[number];

/** @internal */
export const hostSignalOptions = z.lazy(() =>
  z.strictObject({
    signals: z._default(z.readonly(z.array(z.enum(SIGNALS))), SIGNALS),
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

/** How the host wants to end on a signal. */
export interface HostSignalOptions {
  /** @default ['SIGTERM', 'SIGINT', 'SIGHUP'] */
  signals?: readonly HostSignal[] | undefined;
  /** As in `stop`. */
  finishMs?: number | undefined;
  /** As in `stop`. */
  deadlineMs?: number | undefined;
  /** The host's own part of the shutdown, run beside ours; it may throw or hang, ours completes. */
  hook?: ((signal: HostSignal) => unknown) | undefined;
  /** How long the hook may take before the signal is raised again without it; a second signal ends the wait. @default 5000 */
  hookTimeoutMs?: number | undefined;
}

/** What handling a signal needs of the supervisor. */
export interface HostSignalParts {
  readonly os: Os;
  /** The graceful end: all of it, or as much as the deadline allowed. */
  stop(reason: string): Promise<unknown>;
  /** Makes an end that is under way a forced one. */
  force(): void;
  warn(message: string, cause: unknown): void;
}

/**
 * Ends everything on the first signal and by force on the second; then uninstalls itself and, if
 * nobody else listens, raises the signal again so that the host dies of it as its parent expects.
 *
 * @internal
 * @returns how to uninstall it; safe to call again
 */
export function handleSignals(
  options: z.output<typeof hostSignalOptions>,
  { os, stop, force, warn }: HostSignalParts,
): () => void {
  let ending = false;
  let endHook = (): void => undefined;
  const uninstall = (): void => {
    for (const off of installed.splice(0)) off();
  };
  const onSignal = async (signal: HostSignal): Promise<void> => {
    if (ending) {
      force();
      endHook();
      return;
    }
    ending = true;
    // Asked now: a listener for once is gone when we are done.
    const isAnswered = os.signalListeners(signal).host > 0;
    await Promise.all([stop(signal), runHook(signal)]).catch((error) => warn('stop failed', error));
    uninstall();
    const { host, ours } = os.signalListeners(signal);
    if (!isAnswered && host + ours === 0) os.raise(signal);
  };
  const runHook = async (signal: HostSignal): Promise<void> => {
    const timeout = new Promise<void>((resolve) => {
      const cancel = os.clock.after(options.hookTimeoutMs, resolve, { keepAlive: true });
      endHook = () => {
        cancel();
        resolve();
      };
    });
    const hook = (async () => options.hook?.(signal))().catch((error) =>
      warn(`the host's hook for ${signal} failed`, error),
    );
    await Promise.race([hook, timeout]);
    endHook();
  };
  const installed = options.signals.map((signal) =>
    os.onSignal(signal, () => void onSignal(signal)),
  );
  return uninstall;
}
