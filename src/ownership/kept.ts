import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './files.ts';
import { journalLine } from './journal.ts';
import { FORMAT_VERSION, type JournalHeader, type SupervisionRecord } from './record.ts';

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
