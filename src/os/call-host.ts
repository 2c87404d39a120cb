import { queueMicrotask } from './clock.ts';

/** Calls a function of the host; what it throws surfaces as the host's own uncaught error, as EventTarget does it. */
export function callHost(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
