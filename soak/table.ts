// The soak's own look at the process table, with nothing of src/ in it: Linux only.
import { readdirSync, readFileSync } from 'node:fs';
import { type ProcessRow, readRow } from '../kit/process-table.ts';
import { MARKER, parseTag, TAG, type Tag } from './tag.ts';

export interface SoakProcess extends ProcessRow {
  readonly tag: Tag;
  /** Its place in its tree; `''` before it has become what it is going to be. */
  readonly role: string;
}

/** All live processes of a soak. One whose environment is empty may tell by its arguments. One that is forked during the look, or within its exec, may be missing. */
export function findSoakProcesses(marker: string): SoakProcess[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const environment = readText(`/proc/${entry}/environ`) || readText(`/proc/${entry}/cmdline`);
    if (!environment.includes(`${MARKER}=${marker}\0`)) return [];
    const row = readRow(Number(entry));
    return row === undefined ? [] : [{ ...row, ...identityIn(environment.split('\0')) }];
  });
}

/** The guardians of a live host: they carry no marker and are no children of it, so their arguments have to tell. */
export function findGuardiansOf({ instance }: { instance?: string | undefined }): ProcessRow[] {
  if (instance === undefined) return [];
  return readdirSync('/proc').flatMap((entry) => {
    const row = /^\d+$/.test(entry) ? readRow(Number(entry)) : undefined;
    if (row === undefined) return [];
    const { args } = row;
    return args.includes('agent-supervisor-guardian') && args.includes(instance) ? [row] : [];
  });
}

/** A process and all below it by parent, as a tool sees them that ends whole trees. */
export function belowByParent(root: ProcessRow): ProcessRow[] {
  const rows = readdirSync('/proc').flatMap((entry) => {
    const row = /^\d+$/.test(entry) ? readRow(Number(entry)) : undefined;
    return row === undefined ? [] : [row];
  });
  const found = [root];
  for (const { pid } of found) found.push(...rows.filter(({ ppid }) => ppid === pid));
  return found;
}

/** Resident memory in bytes; 0 if it is gone. */
export function residentBytesOf(pid: number): number {
  const [, kibibytes = '0'] = /^VmRSS:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`)) ?? [];
  return Number(kibibytes) * 1024;
}

function identityIn(environment: readonly string[]): Pick<SoakProcess, 'tag' | 'role'> {
  const lookUp = (name: string) =>
    environment.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
  return { tag: parseTag(lookUp(TAG)), role: lookUp('ROLE') };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Gone, or a thread of the kernel.
    return '';
  }
}
