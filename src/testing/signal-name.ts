import { constants } from 'node:os';
import * as z from 'zod/mini';

/** A signal that this system knows. */
export const signalName = () =>
  z.custom<NodeJS.Signals>(
    (value) => typeof value === 'string' && Object.hasOwn(constants.signals, value),
    { error: 'must be a signal, such as SIGTERM' },
  );
