import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Os } from '../os/os.ts';
import { Ledger } from './ledger.ts';

const DAY_MS = 24 * 3_600_000;

export interface DailyLedgerOptions<Line> {
  readonly os: Os;
  /** The files are `PREFIX-YYYY-MM-DD.jsonl`. */
  readonly prefix: string;
  readonly keptDays: number;
  /** Whether a line that cannot be written counts as long as this host lives. */
  readonly remembers: boolean;
  stateDir(): string;
  parse(value: unknown): Line | undefined;
  warn(message: string, cause?: unknown): void;
}

/** A ledger with a file for each day, which all hosts of the state directory share. */
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
    this.#forgetOld(stateDir);
    this.#path = path;
    this.#ledger = new Ledger({ path, userId: os.userId(), parse, warn, remembers });
    return this.#ledger;
  }

  #forgetOld(stateDir: string): void {
    const { os, prefix, keptDays, warn } = this.#options;
    const oldest = dayOf(os.clock.now() - keptDays * DAY_MS);
    try {
      for (const name of readdirSync(stateDir)) {
        const day = dayOfFile(prefix, name);
        if (day !== undefined && day < oldest) rmSync(join(stateDir, name), { force: true });
      }
    } catch (error) {
      const isNew = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isNew) warn(`${stateDir}: old days' files cannot be removed`, error);
    }
  }
}

function dayFileName(prefix: string, ms: number): string {
  return `${prefix}-${dayOf(ms)}.jsonl`;
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
