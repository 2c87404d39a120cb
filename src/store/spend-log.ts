import type { Os } from '../os/os.ts';
import { DailyLedger } from './daily-log.ts';
import { FORMAT_VERSION, parseSpendLine, type SpendLine } from './formats.ts';

/** Money and tokens of all kinds. */
export interface Spent {
  readonly usd: number;
  readonly tokens: number;
}

/** The spending of all hosts of the state directory today. */
export interface DayLedger {
  spentUsd(): number;
  charge(spent: Spent, sessionId: string | undefined): void;
}

export interface DayFilesOptions {
  readonly os: Os;
  stateDir(): string;
  warn(message: string, cause?: unknown): void;
}

/** The files of the days, one each, shared by all hosts of the state directory. */
export class DayFiles implements DayLedger {
  readonly #os: Os;
  readonly #days: DailyLedger<SpendLine>;

  constructor(options: DayFilesOptions) {
    this.#os = options.os;
    const format = { kind: 'day' as const, remembers: true, parse: parseSpendLine };
    this.#days = new DailyLedger({ ...options, ...format });
  }

  spentUsd(): number {
    return this.#days.today.read().reduce((sum, { spent }) => sum + spent.usd, 0);
  }

  charge(spent: Spent, session: string | undefined): void {
    const at = this.#os.clock.now();
    this.#days.today.append({ version: FORMAT_VERSION, session, at, spent });
  }
}
