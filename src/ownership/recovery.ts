import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sliced } from '../os/clock.ts';
import type { BareProcess, ProcessEntry } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { removeClaims, reviveJournals } from './dead-claims.ts';
import { namesIn } from './files.ts';
import type { History } from './history.ts';
import { isSameProcess, judgeOwner, type Owner, type OwnerVerdict } from './identity.ts';
import { contentOf, headerOf, readSafely } from './journal-reader.ts';
import { removeOrders } from './orders.ts';
import { endOrphans, type OrphanContext, type OrphanReport } from './orphans.ts';
import type { SupervisionRecord } from './record.ts';

/** `host-OWNER.jsonl`; `claim-OWNER+CLAIMER.jsonl` while somebody acts for a dead owner. */
const FILE = /^(?:host-([\w-]+)|claim-([\w-]+)\+([\w-]+))\.jsonl$/;

/** What was found in the state directory, and what was done about it. */
export interface RecoveryReport extends OrphanReport {
  /** The dead owners whose journals were dealt with and removed. */
  readonly recovered: readonly string[];
  /** What was left alone, and why. */
  readonly unproven: readonly Unproven[];
}

export interface RecoveryContext extends OrphanContext {
  /** Where the ends of what dead hosts left are noted. */
  readonly history?: Pick<History, 'ended' | 'lost'>;
  readonly stateDir: string;
  readonly self: Owner;
}

interface JudgeContext extends RecoveryContext {
  readonly read: (pid: number) => BareProcess | undefined;
}

/**
 * Ends what dead owners left, and forgets what is gone.
 *
 * Acts only for an owner that is proven dead, of this machine, boot and PID namespace. Each journal
 * is claimed by an atomic rename, so that of two starting hosts one acts; a dead claimer's claim can
 * be claimed. Everything else is reported and left alone.
 */
export async function recover(context: RecoveryContext): Promise<RecoveryReport> {
  const unproven: Unproven[] = [];
  const recovered: string[] = [];
  const reports: OrphanReport[] = [];
  await reviveJournals(context);
  const files = filesOfOthers(context);
  const judging = await toJudge(files, context);
  for (const { name, owner, claimer } of files) {
    const path = join(context.stateDir, name);
    const header = headerOf(path, context.os, unproven);
    if (header === undefined) continue;
    if (header.owner.instance !== owner) {
      // Its header proves nothing about the owner whose processes it would be about.
      unproven.push({ pid: undefined, reason: `${path}: its name is not that of its owner` });
      continue;
    }
    const verdict = judge(header.owner, judging);
    if (verdict === 'alive') continue;
    if (verdict !== 'dead' && verdict !== 'rebooted') {
      unproven.push({ pid: header.owner.pid, reason: `${path}: its owner is ${verdict}` });
      continue;
    }
    if (claimer !== undefined && claimerLives(claimer, judging)) continue;
    const content = await contentOf(path, unproven);
    if (content === undefined) continue;
    const claim = join(context.stateDir, `claim-${owner}+${context.self.instance}.jsonl`);
    if (!context.dryRun && !rename(path, claim)) continue;
    for (const reason of content.warnings) unproven.push({ pid: undefined, reason });
    // After a reboot nothing of it is alive, whatever has its pids now.
    const report =
      verdict === 'dead'
        ? await endOrphans(owner, content.records, context)
        : { ended: [], survivors: [], orphans: [], unproven: [], forgotten: content.records.size };
    reports.push(report);
    unproven.push(...report.unproven);
    if (context.dryRun || report.survivors.length > 0) continue;
    removeClaims(owner, context);
    removeHalfWritten(owner, context.stateDir);
    removeOrders(context.stateDir, { owner });
    await note(owner, content.records, report, context);
    rmSync(claim, { force: true });
    recovered.push(owner);
  }
  return {
    recovered,
    unproven,
    ended: reports.flatMap(({ ended }) => ended),
    survivors: reports.flatMap(({ survivors }) => survivors),
    orphans: reports.flatMap(({ orphans }) => orphans),
    forgotten: reports.reduce((sum, { forgotten }) => sum + forgotten, 0),
  };
}

/** The owner in whose journal a process stands, other than ourselves, who lives or may live here. */
export async function holderOf(
  process: Pick<ProcessEntry, 'pid' | 'startTime'>,
  context: RecoveryContext,
): Promise<string | undefined> {
  const files = filesOfOthers(context);
  const judging = await toJudge(files, context);
  for (const { name, owner } of files) {
    const content = await readSafely(join(context.stateDir, name), context.os, []);
    if (content?.header === undefined) continue;
    const holds = [...content.records.values()].some((record) => isSameProcess(record, process));
    if (!holds) continue;
    // Of another boot, machine or namespace, it is some other process that has the same numbers.
    const verdict = judge(content.header.owner, judging);
    if (verdict === 'alive' || verdict === 'unproven') return owner;
  }
  return undefined;
}

/** The journals and claims that are about another owner than ourselves. */
function filesOfOthers({ stateDir, self }: RecoveryContext) {
  return namesIn(stateDir).flatMap((name) => {
    const [, host, claimed, claimer] = FILE.exec(name) ?? [];
    const owner = host ?? claimed;
    return owner === undefined || owner === self.instance ? [] : [{ name, owner, claimer }];
  });
}

/** Where only a look tells who lives, one that is taken now shows all whose files have been listed. */
async function toJudge(files: readonly unknown[], context: RecoveryContext): Promise<JudgeContext> {
  const { processes } = context.os;
  const needsLook = processes.read === undefined && files.length > 0;
  const table = needsLook ? await processes.look() : undefined;
  return { ...context, read: processes.read ?? ((pid) => table?.get(pid)) };
}

function judge(owner: Owner, { self, read }: JudgeContext): OwnerVerdict {
  try {
    return judgeOwner(owner, self, read);
  } catch {
    return 'unproven';
  }
}

/** A claim counts as long as its claimer's own journal says that it is alive. */
function claimerLives(claimer: string, context: JudgeContext): boolean {
  if (claimer === context.self.instance) return false;
  const unproven: Unproven[] = [];
  const path = join(context.stateDir, `host-${claimer}.jsonl`);
  const header = headerOf(path, context.os, unproven);
  if (header !== undefined) return judge(header.owner, context) === 'alive';
  return unproven.length > 0;
}

/** Notes how a dead owner's processes ended: by us, or unseen. */
async function note(
  owner: string,
  records: ReadonlyMap<string, SupervisionRecord>,
  { ended }: OrphanReport,
  { history, os }: RecoveryContext,
): Promise<void> {
  for (const report of ended) history?.ended(owner, records.get(report.id) ?? report, report);
  const seen = new Set(ended.map(({ id }) => id));
  // Thousands of them, after a bad night.
  const rest = sliced(os.clock);
  for (const record of records.values()) {
    if (!seen.has(record.id)) history?.lost(owner, record);
    await rest();
  }
}

/** Removes what a host was writing in the moment of its death. */
function removeHalfWritten(owner: string, stateDir: string): void {
  for (const name of namesIn(stateDir)) {
    if (name.endsWith('.tmp') && name.includes(owner))
      rmSync(join(stateDir, name), { force: true });
  }
}

function rename(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}
