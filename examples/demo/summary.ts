// The end of the demo: every session's cause against what had to be, and who is still alive.
import type { ExitReport } from 'agent-supervisor';
import { seconds } from './board.ts';
import type { DemoQuery } from './queries.ts';

export interface Outcome {
  readonly reports: ReadonlyMap<string, ExitReport>;
  /** Pids that the witness found alive after the supervisor had stopped. */
  readonly survivors: readonly number[];
  /** How many processes the witness saw while the agents ran. */
  readonly seen: number;
  /** The signal that ended the run early, if one did. */
  readonly interruptedBy?: string | undefined;
}

export interface Verdict {
  readonly ok: boolean;
  readonly lines: readonly string[];
}

/** Judges the run: every cause as expected, someone seen, nobody alive. */
export function judge(queries: readonly DemoQuery[], outcome: Outcome): Verdict {
  const { reports, survivors, seen, interruptedBy } = outcome;
  const rows = queries.map(({ name, expected }) => {
    const report = reports.get(name);
    return { name, expected, report, got: report?.cause ?? 'no report' };
  });
  const wrong = rows.filter(({ expected, got }) => expected !== got && interruptedBy === undefined);
  const lines = [
    'session         expected    got         took     leftovers ended',
    ...rows.map(({ name, expected, got, report }) => {
      const took = report === undefined ? '' : seconds(report.durationMs);
      return `${name.padEnd(16)}${expected.padEnd(12)}${got.padEnd(12)}${took.padEnd(9)}${leftovers(report)}`;
    }),
    '',
    ...(interruptedBy === undefined ? [] : [`interrupted by ${interruptedBy}`]),
    ...wrong.map(({ name, expected, got }) => `WRONG: ${name} ended as ${got}, not ${expected}`),
    ...(seen === 0 ? ['WRONG: the check saw no process at all, so it proves nothing'] : []),
    `processes seen while the agents ran: ${seen}; alive now: ${survivors.join(', ') || 'none'}`,
    `survivors: ${survivors.length}`,
  ];
  return { ok: wrong.length === 0 && seen > 0 && survivors.length === 0, lines };
}

function leftovers(report: ExitReport | undefined): string {
  const names = report?.leftovers.map(({ command, pid }) => `${command} (${pid})`) ?? [];
  if (names.length === 0) return '-';
  return `${names.join(', ')}${report?.forced ? ', by SIGKILL' : ''}`;
}
