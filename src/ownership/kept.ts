import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Unproven } from '../reports.ts';
import { claimsOfProcess, marksOf, type TreeMarks } from '../tree/marks.ts';
import { cookieSegment } from './cookie.ts';
import { replaceFile } from './files.ts';
import { judgeOwner } from './identity.ts';
import { journalLine } from './journal.ts';
import { readSafely } from './journal-reader.ts';
import { FORMAT_VERSION, type JournalHeader, type SupervisionRecord } from './record.ts';
import type { RecoveryContext } from './recovery.ts';

/** `kept-OWNER.ID.jsonl` */
const KEPT_FILE = /^kept-([\w-]+)\.([\w-]+)\.jsonl$/;

export interface KeptFilesOptions {
  readonly stateDir: string;
  readonly owner: JournalHeader['owner'];
  readonly openedAt: number;
  readonly warn: (message: string, error: unknown) => void;
}

/**
 * What is meant to outlive its host: for each process a journal of its own with one record, so that
 * the hosts which come later need no lock to share them.
 */
export class KeptFiles {
  readonly #options: KeptFilesOptions;
  readonly #records = new Map<string, SupervisionRecord>();
  #owner: JournalHeader['owner'];

  constructor(options: KeptFilesOptions) {
    this.#options = options;
    this.#owner = options.owner;
  }

  add(record: SupervisionRecord): void {
    this.#records.set(record.id, record);
    const { openedAt } = this.#options;
    const header = { version: FORMAT_VERSION, owner: this.#owner, openedAt };
    const path = this.#pathOf(record.id);
    this.#attempt(() => replaceFile(path, journalLine(header) + journalLine({ add: record })));
  }

  remove(id: string): void {
    this.#records.delete(id);
    this.#attempt(() => rmSync(this.#pathOf(id), { force: true }));
  }

  /** Writes the files anew with an identity that has become known. */
  identify(owner: JournalHeader['owner']): void {
    this.#owner = owner;
    const { bootId, pidNamespace } = owner;
    for (const record of this.#records.values()) this.add({ ...record, bootId, pidNamespace });
  }

  #pathOf(id: string): string {
    return join(this.#options.stateDir, `kept-${this.#owner.instance}.${id}.jsonl`);
  }

  #attempt(change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#options.warn('what outlives this host could not be written down', error);
    }
  }
}

/** A file that names a process which is meant to outlive its host. */
export interface KeptFile {
  readonly path: string;
  readonly record: SupervisionRecord;
  readonly ownerIsAlive: boolean;
  /** The process's segment in the cookies of its tree. */
  readonly segment: string;
}

/** What lives on by intention; the files of what does not any more are removed. */
export async function findKept(
  context: RecoveryContext,
): Promise<{ kept: KeptFile[]; forgotten: number; unproven: Unproven[] }> {
  const { os, self, stateDir, dryRun, history } = context;
  const unproven: Unproven[] = [];
  const kept: KeptFile[] = [];
  let forgotten = 0;
  // Listed before the look: what is written down during it may not be in it.
  const names = readdirSync(stateDir).filter((name) => KEPT_FILE.test(name));
  if (names.length === 0) return { kept, forgotten, unproven };
  const table = await os.processes.look();
  const claims = new Set([...table.values()].flatMap(claimsOfProcess));
  for (const name of names) {
    const [, owner = '', id = ''] = KEPT_FILE.exec(name) ?? [];
    const path = join(stateDir, name);
    const { header, records } = (await readSafely(path, os, unproven)) ?? {};
    const record = records?.get(id);
    if (header === undefined) continue;
    if (record === undefined || header.owner.instance !== owner) {
      unproven.push({ pid: undefined, reason: `${path}: its name is not that of what is in it` });
      continue;
    }
    // Without a start time of its own it is unproven, whenever its owner started.
    const identity = { ...header.owner, ...record, startTime: record.startTime };
    const verdict = judgeOwner(identity, self, (pid) => table.get(pid));
    const segment = cookieSegment({ owner, id, kept: true });
    if (verdict === 'alive' || (verdict === 'dead' && isClaimed(marksOf(segment), claims))) {
      const ownerIsAlive = judgeOwner(header.owner, self, (pid) => table.get(pid)) === 'alive';
      kept.push({ path, record, segment, ownerIsAlive });
    } else if (verdict === 'dead' || verdict === 'rebooted') {
      forgotten++;
      if (dryRun) continue;
      rmSync(path, { force: true });
      history?.lost(owner, record);
    } else unproven.push({ pid: record.pid, reason: `${path}: it is ${verdict}` });
  }
  return { kept, forgotten, unproven };
}

function isClaimed({ cookie, tag = '' }: TreeMarks, claims: ReadonlySet<string>): boolean {
  return claims.has(cookie) || claims.has(tag);
}
