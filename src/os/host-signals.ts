import { constants } from 'node:os';
import type { Os, Platform } from './os.ts';

// A registered symbol, so that the listeners of another copy of this package do not count as the
// host's.
const OURS = Symbol.for('agent-supervisor.signal-listeners');

/**
 * The listener installed on the process: one per signal and copy of this package, shared by all
 * subscribers.
 */
type SignalListener = (() => void) & { readonly [OURS]: Set<() => void> };

const listeners = new Map<NodeJS.Signals, SignalListener>();

export const onSignal: Os['onSignal'] = (signal, listener) => {
  const own = () => listener();
  const all = listeners.get(signal)?.[OURS] ?? listenTo(signal);
  all.add(own);
  return () => {
    all.delete(own);
    const installed = listeners.get(signal);
    if (installed?.[OURS] !== all || all.size > 0) return;
    listeners.delete(signal);
    process.off(signal, installed);
  };
};

function listenTo(signal: NodeJS.Signals): Set<() => void> {
  const all = new Set<() => void>();
  // Copy first: a listener may unsubscribe while it runs.
  const call = () => {
    for (const listener of [...all]) listener();
  };
  const installed = Object.assign(call, { [OURS]: all });
  listeners.set(signal, installed);
  process.prependListener(signal, installed);
  return all;
}

export const signalListeners: Os['signalListeners'] = (signal) => {
  const all = process.listeners(signal) as (() => void)[];
  const installed = all.filter((listener): listener is SignalListener => OURS in listener);
  const ours = installed.reduce((sum, { [OURS]: { size } }) => sum + size, 0);
  const host = all.length - installed.length - signalExitCount();
  return { host: Math.max(0, host), ours };
};

interface SignalExitEmitter {
  readonly count?: unknown;
}

/**
 * Counts the listeners of signal-exit per signal, from the emitters it publishes (4.x, 3.x). They
 * raise the signal again if nobody else listens, and do nothing otherwise.
 */
function signalExitCount(): number {
  const { [Symbol.for('signal-exit emitter')]: v4 } = globalThis as Record<symbol, unknown>;
  const { __signal_exit_emitter__: v3 } = process as unknown as Record<string, unknown>;
  const counts = [v4, v3].map((emitter) => Number((emitter as SignalExitEmitter)?.count));
  return counts.reduce((sum, count) => sum + (count > 0 ? count : 0), 0);
}

/**
 * Node counts the listeners of its IPC channel to decide whether it keeps the process alive;
 * undocumented.
 */
interface CountedChannel {
  refCounted?(): void;
  unrefCounted?(): void;
}

export const onParent: Os['onParent'] = (event, listener) => {
  const own = (message: unknown) => listener(message);
  const channel = process.channel as CountedChannel | undefined;
  process.on(event, own);
  channel?.unrefCounted?.();
  return () => {
    channel?.refCounted?.();
    process.off(event, own);
  };
};

export function raise(signal: NodeJS.Signals, platform: Platform): void {
  // The kernel ignores signals that pid 1 sends to itself and has no handler for.
  if (process.pid === 1 && platform !== 'win32')
    process.exit(128 + (constants.signals[signal] ?? constants.signals.SIGTERM));
  // Windows delivers SIGHUP to a host but cannot send it (tapjs/signal-exit#54).
  process.kill(process.pid, platform === 'win32' ? 'SIGTERM' : signal);
}
