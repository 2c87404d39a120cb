// The files of a registry as the soak reads, forges and spoils them, with nothing of src/ in it.
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessKey } from '../kit/process-table.ts';
import type { Host } from './host-process.ts';

/** A host's journal, found by the pid in it. */
export function journalOf({ stateDir, key }: Pick<Host, 'stateDir' | 'key'>): string | undefined {
  for (const name of namesIn(stateDir)) {
    if (!/^host-.*\.jsonl$/.test(name)) continue;
    const text = readText(join(stateDir, name));
    if (ownerOf(text)?.pid === key.pid) return text;
  }
  return undefined;
}

/** A dead host's journal under a new name, in which the pid of each record has become a stranger's. */
export function forgeJournal(stateDir: string, relic: string, stranger: ProcessKey): string {
  const instance = `Forged${crypto.randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const [header = '{}', ...lines] = relic.trimEnd().split('\n');
  const { owner, ...rest } = JSON.parse(header) as { owner: object };
  const records = lines.flatMap((line, index) => {
    const { add } = JSON.parse(line) as { add?: object };
    return add === undefined ? [] : [{ add: { ...add, id: `r${index}`, pid: stranger.pid } }];
  });
  const text = [{ ...rest, owner: { ...owner, instance } }, ...records]
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('');
  // Whole from the first moment, or a sweep would only see that it is torn.
  const draft = join(stateDir, '..', `${instance}.draft`);
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, join(stateDir, `host-${instance}.jsonl`));
  return `${records.length} records name pid ${stranger.pid}`;
}

/** What may become unreadable without anybody's fault: all but claims, and journals of the living. */
export function corruptible(stateDir: string): string[] {
  return namesIn(stateDir).filter((name) => {
    if (!name.endsWith('.jsonl') && !name.startsWith('session')) return false;
    if (/^(?:claim|kept|conversation)-/.test(name)) return false;
    if (!name.startsWith('host-')) return true;
    const owner = ownerOf(readText(join(stateDir, name)));
    return owner !== undefined && !isAlive(owner);
  });
}

function ownerOf(journal: string): ProcessKey | undefined {
  try {
    return (JSON.parse(journal.split('\n')[0] ?? '') as { owner?: ProcessKey }).owner;
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
