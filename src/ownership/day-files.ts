import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DayLedger, Spent } from '../admission/budget.ts';
import type { Os } from '../os/os.ts';
import { Ledger } from './ledger.ts';
import { FORMAT_VERSION, parseSpendLine, type SpendLine } from './record.ts';

const FILE = /^spend-(\d{4}-\d{2}-\d{2})\.jsonl$/;
const DAY_MS = 24 * 3_600_000;
const KEPT_DAYS = 30;

export interface DayFilesOptions {
  readonly os: Os;
  stateDir(): string;
  warn(message: string, cause?: unknown): void;
}

/** The files of the days: what all hosts of the state directory have spent on each. */
export class DayFiles implements DayLedger {
  readonly #options: DayFilesOptions;
  #path = '';
  #ledger: Ledger<SpendLine> | undefined;

  constructor(options: DayFilesOptions) {
    this.#options = options;
  }

  spentUsd(): number {
    return this.#today()
      .read()
      .reduce((sum, { spent }) => sum + spent.usd, 0);
  }

  charge(spent: Spent, session: string | undefined): void {
    const at = this.#options.os.clock.now();
    this.#today().append({ version: FORMAT_VERSION, session, at, spent });
  }

  #today(): Ledger<SpendLine> {
    const { os, warn } = this.#options;
    const stateDir = this.#options.stateDir();
    const path = join(stateDir, `spend-${dayOf(os.clock.now())}.jsonl`);
    if (this.#ledger !== undefined && path === this.#path) return this.#ledger;
    this.#forgetOld(stateDir);
    this.#path = path;
    this.#ledger = new Ledger({ path, userId: os.userId(), parse: parseSpendLine, warn });
    return this.#ledger;
  }

  #forgetOld(stateDir: string): void {
    const oldest = dayOf(this.#options.os.clock.now() - KEPT_DAYS * DAY_MS);
    try {
      for (const name of readdirSync(stateDir)) {
        const day = FILE.exec(name)?.[1];
        if (day !== undefined && day < oldest) rmSync(join(stateDir, name), { force: true });
      }
    } catch (error) {
      const isNew = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isNew) this.#options.warn(`${stateDir}: old days' files cannot be removed`, error);
    }
  }
}

/** The day in UTC, as all hosts of a state directory count it wherever they are. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
