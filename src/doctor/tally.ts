import type { Supervisor } from '../index.ts';

/** Counts of this host's events since its first handler was made. */
export interface Tally {
  started: number;
  restarted: number;
  leftovers: number;
  survivors: number;
  readonly ended: Map<string, number>;
  readonly refused: Map<string, number>;
  readonly warned: Map<string, number>;
}

// One for each supervisor: a host that makes a handler per request would otherwise leak listeners.
const tallies = new WeakMap<Supervisor, Tally>();

/** Counts a supervisor's events, from the first call until the supervisor is collected. */
export function tallyOf(supervisor: Supervisor): Tally {
  const known = tallies.get(supervisor);
  if (known !== undefined) return known;
  const tally: Tally = {
    started: 0,
    restarted: 0,
    leftovers: 0,
    survivors: 0,
    ended: new Map(),
    refused: new Map(),
    warned: new Map(),
  };
  supervisor.on('started', () => tally.started++);
  supervisor.on('restarting', () => tally.restarted++);
  supervisor.on('leftovers', ({ processes }) => {
    tally.leftovers += processes.length;
  });
  supervisor.on('survivors', ({ survivors }) => {
    tally.survivors += survivors.length;
  });
  supervisor.on('exited', ({ cause }) => add(tally.ended, cause));
  supervisor.on('refused', ({ error }) => add(tally.refused, error.code));
  supervisor.on('warning', ({ code }) => add(tally.warned, code));
  tallies.set(supervisor, tally);
  return tally;
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
