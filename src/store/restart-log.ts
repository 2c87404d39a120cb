import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { hashName } from '../os/hash.ts';
import type { Os } from '../os/os.ts';
import { namesIn } from './files.ts';
import { Ledger } from './ledger.ts';
import type { Retention } from './retention.ts';

/** What is remembered of runs, of services, and of hosts that were given up. */
const FILES =
  /^(?:restarts-[\da-f]{32}\.jsonl|service-[\da-f]{32}\.json|heartbeat-[\da-f]{12}\.(?:json|given-up))$/;
const RETENTION_MS = 30 * 24 * 3_600_000;

export interface RestartFileOptions {
  readonly os: Os;
  readonly stateDir: string;
  /** Whose restarts they are. */
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
  const hash = hashName(of);
  const ledger = new Ledger<{ at: number }>({
    path: join(stateDir, `restarts-${hash}.jsonl`),
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

/** Removes the files that nobody has written to for 30 days; returns what was removed, or would be. */
export function removeOldRestarts(
  { stateDir, dryRun }: { readonly stateDir: string; readonly dryRun: boolean },
  retention: Retention,
): string[] {
  return namesIn(stateDir)
    .filter((name) => FILES.test(name))
    .map((name) => join(stateDir, name))
    .filter((path) => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile() || !retention.isOver(stat.mtimeMs, RETENTION_MS)) return false;
      if (!dryRun) rmSync(path, { force: true });
      return true;
    });
}
