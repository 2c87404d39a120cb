import { examine } from '../inspect/doctor.ts';
import type { Check, DoctorReport } from '../inspect/report.ts';
import { safeJson } from '../inspect/safe-json.ts';
import type { Command } from './command.ts';
import { bytes, counted, type Paint, painter } from './paint.ts';
import { plain } from './plain.ts';
import { findRegistry } from './registry.ts';

const STYLES = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
const MARKS = { ok: '✓', warn: '!', fail: '✗' } as const;

export const run: Command = async (args, { stdout, hasColor }) => {
  const { os, stateDir, options } = findRegistry(args);
  const report = await examine({ os, stateDir, options, inside: undefined });
  const text = args.json
    ? `${safeJson(report, 2)}\n`
    : `${lines(report, painter(hasColor)).join('\n')}\n`;
  stdout.write(text);
  return report.status === 'fail' ? 1 : 0;
};

function lines(report: DoctorReport, paint: Paint): string[] {
  const { host, stateDir, owners, processes, checks } = report;
  const alive = processes.filter(({ identity }) => identity === 'alive').length;
  const files = stateDir.files.reduce((sum, group) => sum + group.count, 0);
  const size = stateDir.exists
    ? `${counted(files, 'file')}, ${bytes(stateDir.bytes)}`
    : 'not there yet';
  return [
    `agent-supervisor ${host.packageVersion} on ${host.runtime} ${host.runtimeVersion}, ${host.platform} ${host.arch}`,
    `${plain(stateDir.path)}: ${size}; ${counted(owners.length, 'host')}, ${counted(alive, 'live process', 'live processes')}`,
    '',
    ...checks.flatMap((check) => checkLines(check, paint)),
    '',
    verdict(checks, paint),
  ];
}

function checkLines({ id, status, summary, advice }: Check, paint: Paint): string[] {
  const first = `${paint(STYLES[status], MARKS[status])} ${paint('bold', id.padEnd(12))} ${plain(summary)}`;
  return advice === null ? [first] : [first, `${' '.repeat(15)}→ ${plain(advice)}`];
}

function verdict(checks: readonly Check[], paint: Paint): string {
  const count = (wanted: Check['status']) =>
    checks.filter(({ status }) => status === wanted).length;
  const [fails, warnings] = [count('fail'), count('warn')];
  if (fails > 0) return paint('red', `${fails} failed, ${warnings} to look at.`);
  return warnings > 0 ? paint('yellow', `${warnings} to look at.`) : paint('green', 'All is well.');
}
