import { rmSync } from 'node:fs';
import type { Os } from '../os/os.ts';
import { filesIn } from './files.ts';
import { dayPath } from './layout.ts';
import { Ledger } from './ledger.ts';
import type { Retention } from './retention.ts';

export interface DailyLedgerOptions<Line> {
  readonly os: Os;
  readonly kind: 'day' | 'history';
  /** Counts a line that cannot be written as long as this host lives. */
  readonly remembers: boolean;
  stateDir(): string;
  parse(value: unknown): Line | undefined;
  warn(message: string, cause?: unknown): void;
}

/** A ledger with a file for each day, which all hosts of the state directory share; see {@link removeOldDays}. */
export class DailyLedger<Line extends object> {
  readonly #options: DailyLedgerOptions<Line>;
  #path = '';
  #ledger: Ledger<Line> | undefined;

  constructor(options: DailyLedgerOptions<Line>) {
    this.#options = options;
  }

  get today(): Ledger<Line> {
    const { os, kind, parse, warn, remembers } = this.#options;
    const stateDir = this.#options.stateDir();
    const path = dayPath(stateDir, kind, os.clock.now());
    if (this.#ledger !== undefined && path === this.#path) return this.#ledger;
    this.#path = path;
    this.#ledger = new Ledger({ path, userId: os.userId(), parse, warn, remembers });
    return this.#ledger;
  }
}

const DAY_MS = 24 * 3_600_000;
/** Days for which the files are kept. */
const KEPT_DAYS = { day: 30, history: 14 } as const;

/** Removes the files of days that are kept no longer; returns what was removed, or would be. */
export function removeOldDays(
  { stateDir, dryRun }: { readonly stateDir: string; readonly dryRun: boolean },
  retention: Retention,
): string[] {
  const paths = filesIn(stateDir, 'day', 'history')
    // From the end of that day on.
    .filter(({ kind, day }) =>
      retention.isOver(Date.parse(day) + DAY_MS - 1, KEPT_DAYS[kind] * DAY_MS),
    )
    .map(({ path }) => path);
  if (!dryRun) for (const path of paths) rmSync(path, { force: true });
  return paths;
}
