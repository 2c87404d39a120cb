import type { ExitReport } from '../src/reports.ts';
import { classifyExit } from '../src/tree/exit-cause.ts';

/** The report of a process that exited by itself, with the given fields changed. */
export function exitReport(fields: Partial<ExitReport> = {}): ExitReport {
  const { code = 1, signal = null } = fields;
  return {
    id: 'a-1',
    pid: 100,
    kind: 'agent',
    sessionId: undefined,
    code,
    signal,
    ...classifyExit(code, signal),
    forced: false,
    durationMs: 10,
    pausedMs: 0,
    stderrTail: '',
    leftovers: [],
    ...fields,
  };
}
