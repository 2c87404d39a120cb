import {
  COMMANDLESS,
  COMMON,
  type CommandName,
  flagsOf,
  type Options,
  USAGE,
  type Usage,
} from './usage.ts';

/** Writes the text of `--help`, for one command or for all. */
export function help(name?: CommandName): string {
  if (name === undefined) {
    const commands = Object.values(USAGE).map(
      ({ synopsis, summary }) => [synopsis.replace(' [options]', ''), summary] as const,
    );
    return [
      'Shows and steers what agent-supervisor supervises, by the state directory alone.',
      '',
      'Usage: agent-supervisor <command> [options]',
      '',
      'Commands:',
      ...columns(commands),
      '',
      'Options of all commands:',
      ...columns(optionRows({ ...COMMON, version: COMMANDLESS.version })),
      '',
      'Exit codes: 0 all is well, 1 a check failed or something could not be ended, 2 it could not be done.',
      '',
    ].join('\n');
  }
  const { synopsis, summary, options, notes = [] }: Usage = USAGE[name];
  return [
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.`,
    '',
    `Usage: agent-supervisor ${synopsis}`,
    '',
    'Options:',
    ...columns(optionRows({ ...options, ...COMMON })),
    ...(notes.length > 0 ? ['', ...notes] : []),
    '',
  ].join('\n');
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

/** Makes a row of `-n, --lines <count>` and its summary for each option. */
function optionRows(options: Options): (readonly [string, string])[] {
  return Object.entries(options).map(([name, option]) => {
    const value = option.value === undefined ? '' : ` <${[option.value].flat().join('|')}>`;
    return [flagsOf(name, option).join(', ') + value, option.summary];
  });
}
