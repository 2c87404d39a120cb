// Journals of dead, strange and hostile hosts.
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { ProcessKey } from './process-table.ts';

const BOOT_ID = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
const PID_NAMESPACE = readlinkSync('/proc/self/ns/pid');

/** An owner of this boot and namespace that is long dead: no process has this start time. */
export const DEAD_OWNER = {
  // Unique, since a cleanup ends all processes with its cookie.
  instance: `DeadOwnerOfTests${process.pid}`,
  machine: hostname(),
  pid: 32_000,
  startTime: '1',
  bootId: BOOT_ID,
  pidNamespace: PID_NAMESPACE,
};

/** A record of this process, as its supervisor would write it. */
export function recordOf({ pid, startTime }: ProcessKey, id = `r${pid}`) {
  return {
    id,
    pid,
    startTime,
    bootId: BOOT_ID,
    pidNamespace: PID_NAMESPACE,
    group: true,
    kind: 'tool',
    command: 'sleep',
    cwd: '',
    startedAt: 0,
  };
}

export interface Forgery {
  readonly version?: number;
  readonly owner?: { readonly [Field in keyof typeof DEAD_OWNER]?: string | number | undefined };
  readonly records?: readonly object[];
  /** More text in the file, written as it is. */
  readonly noise?: string;
  readonly name?: string;
}

/** Writes a journal that differs from a true one only as asked; returns its path. */
export function forgeJournal(stateDir: string, forgery: Forgery = {}): string {
  const owner = { ...DEAD_OWNER, ...forgery.owner };
  const path = join(stateDir, forgery.name ?? `host-${owner.instance}.jsonl`);
  writeFileSync(path, journalText(forgery), { mode: 0o600 });
  return path;
}

export function journalText({ version = 1, owner, records = [], noise = '' }: Forgery): string {
  const header = { version, owner: { ...DEAD_OWNER, ...owner }, openedAt: 0 };
  const lines = [header, ...records.map((add) => ({ add }))].map((line) => JSON.stringify(line));
  return `${lines.join('\n')}\n${noise}`;
}
