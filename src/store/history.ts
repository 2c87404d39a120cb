import type { Os } from '../os/os.ts';
import type { ExitReport } from '../reports.ts';
import { DailyLedger } from './daily-log.ts';
import { FORMAT_VERSION, type HistoryNote, parseNote } from './formats.ts';

export interface HistoryOptions {
  readonly os: Os;
  readonly stateDir: string;
  warn(message: string, cause?: unknown): void;
}

/** The noted facts of a process; arguments, folders and output are left out. */
interface Noted {
  readonly id: string;
  readonly kind: string;
  readonly pid?: number | undefined;
  readonly command?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** Notes starts and ends in a file a day. It still tells of them when host and journal are gone. */
export class History {
  readonly #os: Os;
  readonly #days: DailyLedger<HistoryNote>;

  constructor({ os, stateDir, warn }: HistoryOptions) {
    this.#os = os;
    this.#days = new DailyLedger({
      ...{ os, kind: 'history' as const, remembers: false },
      stateDir: () => stateDir,
      parse: parseNote,
      warn,
    });
  }

  started(owner: string, process: Noted): void {
    this.#note('started', owner, process, {});
  }

  ended(owner: string, process: Noted, report: ExitReport): void {
    const { cause, code, signal, forced, durationMs } = report;
    this.#note('ended', owner, process, { cause, code, signal, forced, durationMs });
  }

  /** It is gone, and nobody was there to see how. */
  lost(owner: string, process: Noted): void {
    this.#note('lost', owner, process, {});
  }

  #note(
    event: HistoryNote['event'],
    owner: string,
    { id, pid, kind, sessionId, command }: Noted,
    end: Partial<HistoryNote>,
  ): void {
    const at = this.#os.clock.now();
    const subject = { owner, id, pid, kind, sessionId, command };
    this.#days.today.append({ version: FORMAT_VERSION, at, event, ...subject, ...end });
  }
}
