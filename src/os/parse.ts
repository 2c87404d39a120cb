import type { ProcessEntry } from './os.ts';

/** What one process tells of itself without its environment. */
export type BareProcess = Omit<ProcessEntry, 'cookie'>;

/**
 * Reads `/proc/PID/stat`; `undefined` for anything that is not such a line.
 *
 * The name may hold spaces and parentheses, so the fields count from the last `)` (proc(5)).
 */
export function parseProcStat(text: string): BareProcess | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ', 20);
  const [state, ppid, pgid, sid] = fields;
  const startTime = fields[19];
  if (state === undefined || startTime === undefined || !/^\d+$/.test(startTime)) return undefined;
  const pid = Number(text.slice(0, open));
  if (!Number.isSafeInteger(pid)) return undefined;
  return {
    pid,
    ppid: Number(ppid),
    pgid: Number(pgid),
    sid: Number(sid),
    alive: state !== 'Z' && state !== 'X' && state !== 'x',
    startTime,
    command: text.slice(open + 1, close),
  };
}
