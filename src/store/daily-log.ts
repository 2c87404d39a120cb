import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Os } from '../os/os.ts';
import { namesIn } from './files.ts';
import { Ledger } from './ledger.ts';
import type { Retention } from './retention.ts';

export interface DailyLedgerOptions<Line> {
  readonly os: Os;
  /** The files are `PREFIX-YYYY-MM-DD.jsonl`. */
  readonly prefix: string;
  /** Whether a line that cannot be written counts as long as this host lives. */
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
    const { os, prefix, parse, warn, remembers } = this.#options;
    const stateDir = this.#options.stateDir();
    const path = join(stateDir, dayFileName(prefix, os.clock.now()));
    if (this.#ledger !== undefined && path === this.#path) return this.#ledger;
    this.#path = path;
    this.#ledger = new Ledger({ path, userId: os.userId(), parse, warn, remembers });
    return this.#ledger;
  }
}

function dayFileName(prefix: string, ms: number): string {
  return `${prefix}-${dayOf(ms)}.jsonl`;
}

const DAY_MS = 24 * 3_600_000;
/** For how many days what was spent is kept, and what happened. */
const KEPT_DAYS: Readonly<Record<string, number>> = { spend: 30, history: 14 };

/** Removes the files of days that are kept no longer; returns what was removed, or would be. */
export function removeOldDays(
  { stateDir, dryRun }: { readonly stateDir: string; readonly dryRun: boolean },
  retention: Retention,
): string[] {
  const old = namesIn(stateDir).filter((name) =>
    Object.entries(KEPT_DAYS).some(([prefix, days]) => {
      const day = dayOfFile(prefix, name);
      // From the end of that day on.
      return day !== undefined && retention.isOver(Date.parse(day) + DAY_MS - 1, days * DAY_MS);
    }),
  );
  const paths = old.map((name) => join(stateDir, name));
  if (!dryRun) for (const path of paths) rmSync(path, { force: true });
  return paths;
}

/** Which day a file of the state directory is about; `undefined` for another kind of file. */
export function dayOfFile(prefix: string, name: string): string | undefined {
  if (!name.startsWith(`${prefix}-`)) return undefined;
  return /^\d{4}-\d{2}-\d{2}(?=\.jsonl$)/.exec(name.slice(prefix.length + 1))?.[0];
}

/** The day in UTC, as all hosts of a state directory count it wherever they are. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
