import { examine } from '../doctor/doctor.ts';
import type { Check, DoctorReport } from '../doctor/report.ts';
import type { Command } from './execute.ts';
import { bytes, type Paint, painter } from './paint.ts';
import { findRegistry } from './registry.ts';

const STYLES = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
const MARKS = { ok: '✓', warn: '!', fail: '✗' } as const;

export const run: Command = async (args, { stdout, hasColor }) => {
  const { os, stateDir, options } = findRegistry(args);
  const report = await examine({ os, stateDir, options, inside: undefined });
  const text = args.json
    ? `${JSON.stringify(report, null, 2)}\n`
    : `${lines(report, painter(hasColor)).join('\n')}\n`;
  stdout.write(text);
  return report.status === 'fail' ? 1 : 0;
};

function lines(report: DoctorReport, paint: Paint): string[] {
  const { host, stateDir, owners, processes, checks } = report;
  const alive = processes.filter(({ identity }) => identity === 'alive').length;
  const size = stateDir.exists
    ? `${stateDir.files.length} kinds of files, ${bytes(stateDir.bytes)}`
    : 'not there yet';
  return [
    `agent-supervisor ${host.packageVersion} on ${host.runtime} ${host.runtimeVersion}, ${host.platform} ${host.arch}`,
    `${stateDir.path}: ${size}; ${owners.length} hosts, ${alive} live processes`,
    '',
    ...checks.flatMap((check) => checkLines(check, paint)),
    '',
    verdict(checks, paint),
  ];
}

function checkLines({ id, status, summary, advice }: Check, paint: Paint): string[] {
  const first = `${paint(STYLES[status], MARKS[status])} ${paint('bold', id.padEnd(12))} ${summary}`;
  return advice === null ? [first] : [first, `${' '.repeat(15)}→ ${advice}`];
}

function verdict(checks: readonly Check[], paint: Paint): string {
  const count = (wanted: Check['status']) =>
    checks.filter(({ status }) => status === wanted).length;
  const [fails, warnings] = [count('fail'), count('warn')];
  if (fails > 0) return paint('red', `${fails} failed, ${warnings} to look at.`);
  return warnings > 0 ? paint('yellow', `${warnings} to look at.`) : paint('green', 'All is well.');
}
