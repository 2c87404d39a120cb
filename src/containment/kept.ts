import { readFileSync, rmSync } from 'node:fs';
import type { Unproven } from '../reports.ts';
import { assertReplaceable, filesIn, replaceFile } from '../store/files.ts';
import { FORMAT_VERSION, type JournalHeader, type SupervisionRecord } from '../store/formats.ts';
import { removeHeartbeat } from '../store/heartbeat-file.ts';
import { readSafely } from '../store/journal-reader.ts';
import { jsonLine } from '../store/jsonl.ts';
import { keptPath } from '../store/layout.ts';
import { cookieSegment } from '../tree/cookie.ts';
import { isOver, judgeOwner, type Owner } from '../tree/identity.ts';
import { marksOf, marksOfProcess, type TreeMarks } from '../tree/marks.ts';
import type { RecoveryContext } from './context.ts';
import { removeConversationLocks } from './dead-locks.ts';
import { isNamespaceDead } from './judge.ts';

export interface KeptFilesOptions {
  readonly stateDir: string;
  readonly owner: JournalHeader['owner'];
  readonly openedAt: number;
  /** User id that must own the files; `undefined` where the system has none. */
  readonly userId: number | undefined;
  readonly warn: (message: string, error: unknown) => void;
}

/**
 * The files of processes that are meant to outlive their host.
 *
 * Each process has its own journal with one record, so that later hosts can share them without a lock.
 */
export class KeptFiles {
  readonly #options: KeptFilesOptions;
  readonly #records = new Map<string, SupervisionRecord>();
  /** Ids whose file was replaced by something that is no file of this host. */
  readonly #lost = new Set<string>();
  #owner: JournalHeader['owner'];

  constructor(options: KeptFilesOptions) {
    this.#options = options;
    this.#owner = options.owner;
  }

  get size(): number {
    return this.#records.size;
  }

  add(record: SupervisionRecord): void {
    this.#records.set(record.id, record);
    this.#attempt(() => replaceFile(this.#pathOf(record.id), this.#textOf(record)));
  }

  /** Forgets a process whose file somebody else removes. */
  forget(id: string): void {
    this.#records.delete(id);
  }

  remove(id: string): void {
    this.forget(id);
    this.#attempt(() => rmSync(this.#pathOf(id), { force: true }));
  }

  /** Rewrites the files with an identity that has become known. */
  identify(owner: JournalHeader['owner']): void {
    this.#owner = owner;
    const { bootId, pidNamespace } = owner;
    for (const record of this.#records.values()) this.add({ ...record, bootId, pidNamespace });
  }

  /**
   * Rewrites files that were removed or changed; returns their paths.
   *
   * A record whose path holds something else stays in memory, with one warning.
   */
  check(): string[] {
    return [...this.#records.values()].flatMap((record) => {
      const path = this.#pathOf(record.id);
      if (this.#isAsWritten(path, record)) return [];
      try {
        assertReplaceable(path, this.#options.userId);
        replaceFile(path, this.#textOf(record));
        this.#lost.delete(record.id);
        return [path];
      } catch (error) {
        if (!this.#lost.has(record.id)) this.#complain(error);
        this.#lost.add(record.id);
        return [];
      }
    });
  }

  #isAsWritten(path: string, record: SupervisionRecord): boolean {
    try {
      // A foreign file is not read, nor is the target of a link.
      assertReplaceable(path, this.#options.userId);
      return readFileSync(path, 'utf8') === this.#textOf(record);
    } catch {
      return false;
    }
  }

  #textOf(record: SupervisionRecord): string {
    const { openedAt } = this.#options;
    const header = { version: FORMAT_VERSION, owner: this.#owner, openedAt };
    return jsonLine(header) + jsonLine({ add: record });
  }

  #pathOf(id: string): string {
    return keptPath(this.#options.stateDir, this.#owner.instance, id);
  }

  #attempt(change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    this.#options.warn('what outlives this host could not be written down', error);
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

/** Lists the ids of an owner's processes that live on, whatever their marks say. */
export function idsOfKept(stateDir: string, owner: string): string[] {
  return filesIn(stateDir, 'kept')
    .filter((file) => file.owner === owner)
    .map(({ id }) => id);
}

/** Finds the processes that live on as meant; removes the files of those that have exited. */
export async function findKept(
  context: RecoveryContext,
): Promise<{ kept: KeptFile[]; forgotten: number; unproven: Unproven[] }> {
  const { os, self, stateDir, dryRun, history } = context;
  const unproven: Unproven[] = [];
  const kept: KeptFile[] = [];
  let forgotten = 0;
  // Listed before the snapshot: a file written during it may name a process that is not in it.
  const files = filesIn(stateDir, 'kept');
  if (files.length === 0) return { kept, forgotten, unproven };
  const table = await os.processes.snapshot();
  const judge = (owner: Owner) => judgeOwner(owner, self, (pid) => table.get(pid));
  const marks = new Set([...table.values()].flatMap(marksOfProcess));
  for (const { path, owner, id } of files) {
    const { header, records } = (await readSafely(path, os, unproven)) ?? {};
    const record = records?.get(id);
    if (header === undefined) continue;
    if (record === undefined || header.owner.instance !== owner) {
      unproven.push({ pid: undefined, reason: `${path}: its name is not that of what is in it` });
      continue;
    }
    // A record without a start time of its own is unproven, whenever its owner started.
    const identity = { ...header.owner, ...record, startTime: record.startTime };
    const seen = judge(identity);
    const isOfDeadNamespace =
      seen === 'elsewhere' && (await isNamespaceDead(header.owner, context));
    const isOld = seen === 'elsewhere' && os.isOfEarlierBoot?.(path) === true;
    const verdict = isOfDeadNamespace || isOld ? 'rebooted' : seen;
    const segment = cookieSegment({ owner, id, kept: true });
    // A process that was let go keeps the mark that it was started with, where its tag could not be lowered.
    const formerly = record.disowned ? cookieSegment({ owner, id }) : segment;
    const isKept = isBorne(marksOf(segment), marks);
    if (
      verdict === 'alive' ||
      (verdict === 'dead' && (isKept || isBorne(marksOf(formerly), marks)))
    ) {
      const ownerIsAlive = judge(header.owner) === 'alive';
      kept.push({ path, record, segment: isKept ? segment : formerly, ownerIsAlive });
    } else if (verdict === 'dead' || verdict === 'rebooted') {
      forgotten++;
      if (dryRun) continue;
      // This host itself hears of the exit of what it has started.
      if (owner === self.instance) context.keptGone?.(id);
      else if (record.cleanup !== undefined) await context.cleanUp?.(record);
      rmSync(path, { force: true });
      history?.lost(owner, record);
      // Before the heartbeat goes: without it, no host could judge the owner of these locks.
      if (isOfDeadNamespace) removeConversationLocks(owner, context);
      if (isOver(judge(header.owner)) || isOfDeadNamespace)
        removeHeartbeat(stateDir, header.owner.heartbeat);
    } else unproven.push({ pid: record.pid, reason: `${path}: it is ${verdict}` });
  }
  return { kept, forgotten, unproven };
}

function isBorne({ cookie, tag = '' }: TreeMarks, marks: ReadonlySet<string>): boolean {
  return marks.has(cookie) || marks.has(tag);
}
