import { rmSync } from 'node:fs';
import type { ProcessEntry } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { filesIn } from '../store/files.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { contentOf, headerOf, readSafely } from '../store/journal-reader.ts';
import { claimPath, journalPath } from '../store/layout.ts';
import { isOver, isSameProcess, type Owner } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { reviveJournals } from './dead-locks.ts';
import { type Judgement, judgeBy, readerOf } from './judge.ts';
import { idsOfKept } from './kept.ts';
import { endOrphans, type OrphanReport } from './orphans.ts';
import { forget, takeJournal } from './takeover.ts';

/** The findings in the state directory, and the actions taken. */
export interface RecoveryReport extends OrphanReport {
  /** The dead owners whose journals were dealt with and removed. */
  readonly recovered: readonly string[];
  /** Files and processes that were left alone, with the reason. */
  readonly unproven: readonly Unproven[];
}

/**
 * Ends the processes of dead owners, and forgets those that are gone.
 *
 * It acts only for a host that is proven dead, or whose heartbeat was given up; in that case it signals no
 * process. Each journal is taken by an atomic rename, so that only one of two starting hosts acts. If that
 * host ends during the recovery, another takes over from it. Everything else is reported and left alone.
 */
export async function recover(context: RecoveryContext): Promise<RecoveryReport> {
  const unproven: Unproven[] = [];
  const recovered: string[] = [];
  const reports: OrphanReport[] = [];
  await reviveJournals(context);
  const files = filesOfOthers(context);
  const judge = await toJudge(files, context);
  for (const { path, owner, recoverer } of files) {
    const header = headerOf(path, context.os, unproven);
    if (header === undefined) continue;
    if (header.owner.instance !== owner) {
      // The header proves nothing about the owner in the file's name.
      unproven.push({ pid: undefined, reason: `${path}: its name is not that of its owner` });
      continue;
    }
    const judgement = await judge(header.owner);
    const { verdict } = judgement;
    if (verdict === 'alive') continue;
    if (!isOver(verdict)) {
      unproven.push({ pid: header.owner.pid, reason: `${path}: ${doubtOf(judgement, context)}` });
      continue;
    }
    if (recoverer !== undefined && (await recovererLives(recoverer, context, judge))) continue;
    const content = await contentOf(path, unproven);
    if (content === undefined) continue;
    const claim = claimPath(context.stateDir, owner, context.self.instance);
    if (!context.dryRun && !takeJournal(path, claim, { owner: header.owner, verdict }, context))
      continue;
    for (const reason of content.warnings) unproven.push({ pid: undefined, reason });
    // After a reboot all its processes are dead, whatever has their pids now; those of a given-up host are
    // out of reach.
    const report =
      verdict === 'dead'
        ? await endOrphans(owner, content.records, context, idsOfKept(context.stateDir, owner))
        : { ended: [], survivors: [], orphans: [], unproven: [], forgotten: content.records.size };
    reports.push(report);
    unproven.push(...report.unproven);
    if (context.dryRun || report.survivors.length > 0) continue;
    // The processes of a host that was given up may live on elsewhere.
    if (verdict !== 'given-up') await cleanUp(content.records.values(), context);
    await forget({ owner: header.owner, verdict }, content.records, report, context);
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

/** Runs the cleanups of dead processes; done before their journal goes, so that each is run at least once. */
async function cleanUp(
  records: Iterable<SupervisionRecord>,
  { cleanUp: run }: RecoveryContext,
): Promise<void> {
  const named = [...records].filter(({ cleanup }) => cleanup !== undefined);
  await Promise.all(named.map((record) => run?.(record)));
}

/** Returns the other owner whose journal names a process, if it is alive here or may be. */
export async function holderOf(
  process: Pick<ProcessEntry, 'pid' | 'startTime'>,
  context: RecoveryContext,
): Promise<string | undefined> {
  const files = filesOfOthers(context);
  const judge = await toJudge(files, context);
  for (const { path, owner } of files) {
    const content = await readSafely(path, context.os, []);
    if (content?.header === undefined) continue;
    const holds = [...content.records.values()].some((record) => isSameProcess(record, process));
    if (!holds) continue;
    // On another boot, machine or namespace, the same numbers belong to another process.
    const { verdict } = await judge(content.header.owner);
    if (verdict === 'alive' || verdict === 'unproven') return owner;
  }
  return undefined;
}

/** Lists the journals of other owners, with the host that acts for a dead one. */
function filesOfOthers({ stateDir, self }: RecoveryContext) {
  return filesIn(stateDir, 'journal', 'claim')
    .filter(({ owner }) => owner !== self.instance)
    .map((file) => ({ ...file, recoverer: file.kind === 'claim' ? file.recoverer : undefined }));
}

type Judge = (owner: Owner) => Promise<Judgement>;

/**
 * Returns a judge of owners.
 *
 * Where it needs a snapshot, this one is taken after the files were listed, and so shows the owners of all.
 */
async function toJudge(files: readonly unknown[], context: RecoveryContext): Promise<Judge> {
  const read = files.length > 0 ? await readerOf(context.os) : () => undefined;
  return (owner) => judgeBy(owner, context, read);
}

/** Explains why an owner is left alone. */
function doubtOf({ verdict, silentMs }: Judgement, { os }: RecoveryContext): string {
  const { giveUpMs } = os.heartbeat ?? {};
  if (silentMs === undefined || giveUpMs === undefined) return `its owner is ${verdict}`;
  const [silent, enough] = [silentMs, giveUpMs].map((ms) => `${Math.round(ms / 1000)} s`);
  return `its owner is ${verdict}; its heartbeat was seen unchanged for ${silent}, and is given up after ${enough}`;
}

/** Tells whether the host of an earlier recovery is alive or may be, by its own journal. */
async function recovererLives(
  recoverer: string,
  context: RecoveryContext,
  judge: Judge,
): Promise<boolean> {
  if (recoverer === context.self.instance) return false;
  const unproven: Unproven[] = [];
  const header = headerOf(journalPath(context.stateDir, recoverer), context.os, unproven);
  if (header === undefined) return unproven.length > 0;
  const { verdict, silentMs } = await judge(header.owner);
  return verdict === 'alive' || (silentMs !== undefined && !isOver(verdict));
}
