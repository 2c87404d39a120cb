import { lstatSync, rmSync } from 'node:fs';
import type { Os } from '../os/os.ts';
import { filesIn } from './files.ts';
import { restartsPath } from './layout.ts';
import { Ledger } from './ledger.ts';
import type { Retention } from './retention.ts';

const RETENTION_MS = 30 * 24 * 3_600_000;

export interface RestartFileOptions {
  readonly os: Os;
  readonly stateDir: string;
  /** The name of the run or the service. */
  readonly of: string;
  warn(message: string, cause?: unknown): void;
}

/** Where the restarts of a run are remembered. */
export interface RestartBudget {
  /** When it was restarted; wall clock, ms since 1970. */
  read(): readonly number[];
  add(at: number): void;
}

/** The restarts of a run in a file, so that a host which is itself started again goes on counting. */
export function restartFile({ os, stateDir, of, warn }: RestartFileOptions): RestartBudget {
  const ledger = new Ledger<{ at: number }>({
    path: restartsPath(stateDir, of),
    userId: os.userId(),
    parse(value) {
      const at = (value as { at?: unknown } | null | undefined)?.at;
      if (typeof at !== 'number' || !Number.isFinite(at)) return undefined;
      // It would otherwise stay in the future, and in every window.
      return { at: Math.min(at, os.clock.now()) };
    },
    warn,
  });
  return {
    read: () => ledger.read().map(({ at }) => at),
    add: (at) => ledger.append({ at }),
  };
}

/**
 * Removes what is remembered of runs, services and hosts that were given up, 30 days after the last write.
 * Returns what was removed, or would be.
 */
export function removeOldRestarts(
  { stateDir, dryRun }: { readonly stateDir: string; readonly dryRun: boolean },
  retention: Retention,
): string[] {
  return filesIn(stateDir, 'restarts', 'service', 'heartbeat')
    .map(({ path }) => path)
    .filter((path) => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile() || !retention.isOver(stat.mtimeMs, RETENTION_MS)) return false;
      if (!dryRun) rmSync(path, { force: true });
      return true;
    });
}
