import { FailureDetector } from '../containment/failure-detector.ts';
import { judgeBy } from '../containment/judge.ts';
import { treeOf } from '../containment/orphans.ts';
import { sliced } from '../os/clock.ts';
import type { Os, ProcessEntry, ProcessTable } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { filesIn } from '../store/files.ts';
import type { JournalHeader, SupervisionRecord } from '../store/formats.ts';
import { readSafely } from '../store/journal-reader.ts';
import { isSameProcess, judgeOwner, type Owner } from '../tree/identity.ts';
import type { ProcessTree } from '../tree/tracked-tree.ts';
import type { IdentityVerdict, OwnerHealth } from './report.ts';

export interface SurveyContext {
  readonly os: Os;
  readonly stateDir: string;
  readonly self: Owner;
  /** The tree of a process that this host supervises: more of it can be proven. */
  ownTree(id: string): ProcessTree | undefined;
}

export interface SurveyedOwner {
  readonly owner: JournalHeader['owner'];
  readonly openedAt: number;
  readonly verdict: OwnerHealth['verdict'];
  readonly records: readonly SurveyedRecord[];
}

export interface SurveyedRecord {
  readonly owner: string;
  readonly record: SupervisionRecord;
  readonly identity: IdentityVerdict;
  /** The live processes of its tree. */
  readonly members: readonly ProcessEntry[];
}

/** The records of a state directory, compared with the process table. */
export interface Survey {
  readonly owners: readonly SurveyedOwner[];
  readonly table: ProcessTable;
  /** Files that could not be read, or prove nothing. */
  readonly unproven: readonly Unproven[];
}

/** Reads the journals of a state directory and the process table; changes nothing. */
export async function survey(context: SurveyContext): Promise<Survey> {
  const { os, stateDir, self } = context;
  const unproven: Unproven[] = [];
  const journals = new Map<string, { header: JournalHeader; records: SupervisionRecord[] }>();
  // Journals first: a recorded process that the later process table does not show is gone.
  for (const { path } of filesIn(stateDir, 'journal', 'claim', 'kept')) {
    const content = await readSafely(path, os, unproven);
    if (content?.header === undefined) continue;
    const { instance } = content.header.owner;
    const journal = journals.get(instance) ?? { header: content.header, records: [] };
    journal.records.push(...content.records.values());
    journals.set(instance, journal);
    for (const reason of content.warnings) unproven.push({ pid: undefined, reason });
  }
  const table = await os.processes.snapshot();
  const owners: SurveyedOwner[] = [];
  const rest = sliced(os.clock);
  for (const { header, records } of journals.values()) {
    const { owner, openedAt } = header;
    const surveyed: SurveyedRecord[] = [];
    const isOwn = owner.instance === self.instance;
    const verdict = isOwn ? 'ours' : await verdictOf(owner, context, table);
    for (const record of records) {
      await rest();
      const seen = identityOf(record, owner, self, table);
      const identity = seen === 'elsewhere' && verdict === 'rebooted' ? verdict : seen;
      const tree =
        context.ownTree(record.id) ?? treeOf(owner.instance, { id: record.id, record }, os);
      const members = hasTree(identity) ? tree.membersIn(table) : [];
      surveyed.push({ owner: owner.instance, record, identity, members });
    }
    owners.push({ owner, openedAt, verdict, records: surveyed });
  }
  const order = (one: SurveyedOwner) => (one.verdict === 'ours' ? 0 : one.openedAt);
  return { owners: owners.sort((a, b) => order(a) - order(b)), table, unproven };
}

/** Judges another owner by its process or its heartbeat. An owner that was given up counts as dead. */
async function verdictOf(
  owner: Owner,
  { self, os, stateDir }: SurveyContext,
  table: ProcessTable,
): Promise<OwnerHealth['verdict']> {
  const detector = new FailureDetector(os, stateDir, { looksOnce: true });
  const { verdict } = await judgeBy(owner, { self, detector }, (pid) => table.get(pid));
  return verdict === 'given-up' ? 'dead' : verdict;
}

/** Judges whether the process with a record's pid is the recorded one. */
function identityOf(
  record: SupervisionRecord,
  owner: JournalHeader['owner'],
  self: Owner,
  table: ProcessTable,
): IdentityVerdict {
  // The record's own start time, even if undefined: its owner's must not stand in for it.
  const identity = { ...owner, ...record, startTime: record.startTime };
  const verdict = judgeOwner(identity, self, (pid) => table.get(pid));
  if (verdict === 'given-up') return 'elsewhere';
  if (verdict !== 'dead') return verdict;
  const now = table.get(record.pid);
  if (now === undefined) return 'gone';
  return isSameProcess(record, now) ? 'zombie' : 'recycled';
}

/** A process that has ended may have left descendants. */
function hasTree(identity: IdentityVerdict): boolean {
  return identity !== 'elsewhere' && identity !== 'rebooted' && identity !== 'unproven';
}
