import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { journalLine } from './journal.ts';
import { FORMAT_VERSION, type JournalHeader, type SupervisionRecord } from './record.ts';

/**
 * Writes down a process that is meant to outlive its host: a journal of its own with one record, so
 * that hosts which come later need no lock to share them.
 */
export function writeKept(
  stateDir: string,
  header: Omit<JournalHeader, 'version'>,
  record: SupervisionRecord,
): void {
  const path = keptPath(stateDir, header.owner.instance, record.id);
  const temporary = `${path}.tmp`;
  const lines = [{ version: FORMAT_VERSION, ...header }, { add: record }].map(journalLine);
  writeFileSync(temporary, lines.join(''), { mode: 0o600 });
  renameSync(temporary, path);
}

export function removeKept(stateDir: string, owner: string, id: string): void {
  rmSync(keptPath(stateDir, owner, id), { force: true });
}

function keptPath(stateDir: string, owner: string, id: string): string {
  return join(stateDir, `kept-${owner}.${id}.jsonl`);
}
