import type { ExitCause } from '../index.ts';

/**
 * What follows the end of a service that was ready: `rest`, it is started when somebody asks for it;
 * `pace`, the same, but by the restart policy; `return`, it comes back by itself, by that policy.
 */
export type Sequel = 'rest' | 'pace' | 'return';

/** Limits that may be meant to end it again and again are paced; idleness paces itself. */
const SEQUELS: Readonly<Record<ExitCause, Sequel>> = {
  completed: 'pace',
  failed: 'return',
  crashed: 'return',
  terminated: 'rest',
  aborted: 'rest',
  reaped: 'rest',
  'wall-clock': 'rest',
  startup: 'return',
  idle: 'rest',
  memory: 'return',
  lifetime: 'return',
  budget: 'rest',
  duplicate: 'rest',
  shutdown: 'rest',
  'not-started': 'rest',
};

/** Tells what follows; `asked`: this host has asked for the end. */
export function sequelOf(cause: ExitCause, asked: boolean): Sequel {
  // A polite signal from outside: somebody meant it, and may mean it in a loop.
  if (cause === 'terminated' && !asked) return 'pace';
  return SEQUELS[cause];
}
