// What the table shows: one row a session, fed by the supervisor's events and its inspect().
import type { ExitReport, ProcessInspection, Supervisor } from 'agent-supervisor';
import type { Screen } from './screen.ts';

interface Row {
  state: string;
  seen?: ProcessInspection;
  report?: ExitReport;
}

export interface BoardOptions {
  readonly supervisor: Supervisor;
  readonly sessions: readonly string[];
  /** Gets a line for each event worth telling. */
  readonly screen: Screen;
}

const COLUMNS = [16, 12, 9, 8, 9] as const;

export class Board {
  /** How each session ended. */
  readonly reports = new Map<string, ExitReport>();
  readonly #rows: Map<string, Row>;
  readonly #supervisor: Supervisor;

  constructor({ supervisor, sessions, screen }: BoardOptions) {
    this.#supervisor = supervisor;
    this.#rows = new Map(sessions.map((session) => [session, { state: '' }]));
    const tell = (session: string | undefined, state: string, line: string): void => {
      const row = this.#rows.get(session ?? '');
      if (row !== undefined) row.state = state;
      screen.log(`${session}: ${line}`);
    };
    supervisor.on('queued', ({ sessionId, waiting }) =>
      tell(sessionId, 'queued', `no slot is free, queued as number ${waiting}`),
    );
    supervisor.on('started', ({ sessionId, pid }) =>
      tell(sessionId, 'running', `started, pid ${pid}`),
    );
    supervisor.on('ending', ({ sessionId, cause }) =>
      tell(sessionId, 'ending', `being ended: ${cause}`),
    );
    supervisor.on('leftovers', ({ sessionId, processes, action }) => {
      const names = processes.map(({ pid, command }) => `${command} (${pid})`).join(', ');
      tell(sessionId, 'leftovers', `left behind: ${names}; ${action}`);
    });
    supervisor.on('survivors', ({ sessionId, survivors }) =>
      tell(sessionId, 'survivors', `still alive: ${survivors.map(({ pid }) => pid).join(', ')}`),
    );
    supervisor.on('refused', ({ sessionId, error }) =>
      tell(sessionId, 'refused', `not started: ${error.message}`),
    );
    supervisor.on('exited', (report) => {
      const { sessionId = '', cause, forced } = report;
      this.reports.set(sessionId, report);
      const row = this.#rows.get(sessionId);
      if (row !== undefined) row.report = report;
      tell(sessionId, cause, `${cause}, whole tree gone${forced ? ', SIGKILL needed' : ''}`);
    });
    supervisor.on('warning', ({ code, message }) => screen.log(`warning ${code}: ${message}`));
  }

  /** Measures all that runs; what it has seen is in the table from now on. */
  async refresh(): Promise<readonly ProcessInspection[]> {
    const seen = await this.#supervisor.inspect();
    for (const inspection of seen) {
      const row = this.#rows.get(inspection.sessionId ?? '');
      if (row !== undefined) row.seen = inspection;
    }
    return seen;
  }

  lines(): string[] {
    const header = line('session', 'state', 'pid', 'age', 'memory', 'descendants');
    return [header, ...Array.from(this.#rows, ([session, row]) => rowLine(session, row))];
  }
}

function rowLine(session: string, { state, seen, report }: Row): string {
  if (report !== undefined) {
    return line(session, state, String(report.pid), seconds(report.durationMs), '', '');
  }
  if (seen === undefined) return line(session, state, '', '', '', '');
  const { pid, ageMs, rssBytes, descendants } = seen;
  const names = descendants.map(({ command }) => command).join(', ');
  return line(session, state, String(pid), seconds(ageMs), mebibytes(rssBytes), names);
}

function line(...cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(COLUMNS[index] ?? 0))
    .join('')
    .trimEnd();
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
