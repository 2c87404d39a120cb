// Errors that would crash a host, caught for a test.

export interface Uncaught {
  readonly exceptions: unknown[];
  readonly rejections: unknown[];
  /** Restores the process's own listeners. */
  restore(): void;
}

/** Collects uncaught exceptions and unhandled rejections in place of all other listeners. */
export function catchUncaught(): Uncaught {
  const exceptions: unknown[] = [];
  const rejections: unknown[] = [];
  const onException = (error: unknown) => void exceptions.push(error);
  const onRejection = (error: unknown) => void rejections.push(error);
  const before = {
    uncaughtException: process.listeners('uncaughtException'),
    unhandledRejection: process.listeners('unhandledRejection'),
  };
  for (const event of Object.keys(before)) process.removeAllListeners(event);
  process.on('uncaughtException', onException);
  process.on('unhandledRejection', onRejection);
  return {
    exceptions,
    rejections,
    restore() {
      process.off('uncaughtException', onException);
      process.off('unhandledRejection', onRejection);
      for (const listener of before.uncaughtException) process.on('uncaughtException', listener);
      for (const listener of before.unhandledRejection) process.on('unhandledRejection', listener);
    },
  };
}
