import { type ExitReport, type SupervisedProcess, SupervisorError } from '../index.ts';

/** Most characters of a server's last lines in an error message. */
const LAST_LINES = 400;

/** Makes the error for a server that exited while its client still used it. */
export function serverExited(
  { pid, exitCode, signalCode, id }: SupervisedProcess,
  report: ExitReport | undefined,
): SupervisorError {
  const { code, signal } = report ?? { code: exitCode, signal: signalCode };
  const end = signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
  const reason = report?.intentional === true ? ` (${report.cause})` : '';
  const data = { pid, id, code, signal, cause: report?.cause, stderrTail: report?.stderrTail };
  return new SupervisorError(
    'SERVER_EXITED',
    `The MCP server (pid ${pid}) ${end}${reason}. ${lastLines(report)}`,
    { data },
  );
}

function lastLines(report: ExitReport | undefined): string {
  if (report === undefined) return 'Its last lines will be in the report of process.exited.';
  const text = report.stderrTail.trim().slice(-LAST_LINES);
  return text === '' ? 'It wrote nothing to stderr.' : `Its last lines on stderr: ${text}`;
}
