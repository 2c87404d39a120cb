import { endRecorded } from '../containment/orphans.ts';
import { safeJson } from '../inspect/safe-json.ts';
import { type SurveyedOwner, type SurveyedRecord, survey } from '../inspect/survey.ts';
import type { Terminal } from '../os/terminal.ts';
import type { Survivor } from '../reports.ts';
import type { Order, SupervisionRecord } from '../store/formats.ts';
import { giveOrder, removeOrders } from '../store/operator-requests.ts';
import { lineage } from '../tree/tree.ts';
import type { Arguments } from './arguments.ts';
import { counted } from './paint.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { type OnlookerContext, onlooker, type Registry } from './registry.ts';

/** A recorded process that may be ended, and whose it is. */
export interface Target extends SurveyedRecord {
  readonly ownerIsAlive: boolean;
}

/** A recorded process that is left alone, although it may be alive. */
export interface Exempt {
  readonly record: SupervisionRecord;
  readonly reason: string;
}

/** What is alive of what the owners of a registry have written down. */
export interface Field {
  readonly owners: readonly SurveyedOwner[];
  readonly targets: readonly Target[];
  readonly exempt: readonly (Exempt & { readonly owner: string })[];
  readonly context: OnlookerContext;
}

/** Finds everything that may be ended: of this machine, boot and namespace, and with a process that is proven. */
export async function findTargets(registry: Registry): Promise<Field> {
  const context = await onlooker(registry);
  const { owners, table } = await survey(context);
  // What this command itself runs in cannot be ended by it.
  const own = lineage(table, context.self.pid);
  const targets: Target[] = [];
  const exempt: Field['exempt'][number][] = [];
  for (const { verdict, records } of owners) {
    for (const one of records) {
      const reason = own.has(one.record.pid) ? 'this command runs in it' : doubt(one, verdict);
      if (reason !== undefined) exempt.push({ ...one, reason });
      else if (one.members.length > 0) targets.push({ ...one, ownerIsAlive: verdict === 'alive' });
    }
  }
  return { owners, targets, exempt, context };
}

/** Why nobody can tell from here what a record is about; `undefined` if it is clear, or if that is gone. */
function doubt(
  { identity }: SurveyedRecord,
  verdict: SurveyedOwner['verdict'],
): string | undefined {
  if (verdict === 'elsewhere' || identity === 'elsewhere')
    return 'it is of another machine or container';
  if (verdict === 'unproven' || identity === 'unproven')
    return 'it cannot be told from a stranger with its pid';
  return undefined;
}

/** What is to be ended, and what belongs to it but may not be. */
export interface Selection {
  /** As a question names it. */
  readonly what: string;
  readonly targets: readonly Target[];
  readonly exempt: readonly Exempt[];
  readonly cause: Order['cause'];
}

/** What became of a selection. */
interface Outcome {
  readonly ended: readonly { id: string; pid: number; command: string; sessionId: string | null }[];
  readonly survivors: readonly Survivor[];
  readonly leftAlone: readonly { id: string; pid: number; command: string; reason: string }[];
}

/** Asks if a person is there to be asked, then ends the targets in reverse start order; says what became of them, and the exit code. */
export async function endTargets(
  selection: Selection,
  context: OnlookerContext,
  args: Arguments,
  terminal: Terminal,
): Promise<number> {
  const { what, targets } = selection;
  const members = targets.flatMap((target) => target.members);
  await confirm(
    `End ${what}, with ${counted(members.length, 'process', 'processes')}?`,
    args,
    terminal,
  );
  const outcome = await end(selection, context);
  tell(outcome, args, terminal);
  return outcome.survivors.length + outcome.leftAlone.length > 0 ? 1 : 0;
}

function tell({ ended, survivors, leftAlone }: Outcome, args: Arguments, terminal: Terminal): void {
  const { stdout, stderr } = terminal;
  if (args.json) {
    stdout.write(`${safeJson({ ended, survivors, leftAlone }, 2)}\n`);
    return;
  }
  for (const { id, pid, command } of ended)
    stdout.write(`ended ${plain(command)} (pid ${pid}, ${id})\n`);
  const warn = (line: string): void => void stderr.write(`agent-supervisor: ${line}\n`);
  for (const { id, pid, command } of survivors)
    warn(`${plain(command)} (pid ${pid}, of ${id}) is still alive.`);
  for (const { id, pid, command, reason } of leftAlone)
    warn(`${plain(command)} (pid ${pid}, ${id}) is left alone: ${reason}.`);
}

async function end(
  { targets, exempt, cause }: Selection,
  context: OnlookerContext,
): Promise<Outcome> {
  const latestFirst = targets.toSorted((a, b) => b.record.startedAt - a.record.startedAt);
  const ends = latestFirst.map(async ({ owner, record, identity, ownerIsAlive }) => {
    const process = { owner, id: record.id };
    // Before the first signal: its host tells by it why its process ends, and starts no other. Of one
    // that has ended already, with some of its tree left, the host has heard.
    if (ownerIsAlive && identity === 'alive') giveOrder(context.stateDir, process, cause);
    const survivors = await endRecorded(owner, record, { ...context, dryRun: false });
    if (survivors.length > 0) removeOrders(context.stateDir, process);
    return { record, survivors };
  });
  const done = await Promise.all(ends);
  const dead = done.filter(({ survivors }) => survivors.length === 0);
  return {
    ended: dead.map(({ record }) => ({ ...nameOf(record), sessionId: record.sessionId ?? null })),
    survivors: done.flatMap(({ survivors }) => survivors),
    leftAlone: exempt.map(({ record, reason }) => ({ ...nameOf(record), reason })),
  };
}

function nameOf({ id, pid, command }: SupervisionRecord) {
  return { id, pid, command };
}

/** Why nothing was ended, where this is all that was asked for. */
export function leftAlone({ record: { id, pid, command }, reason }: Exempt): Refusal {
  return new Refusal(`${command} (pid ${pid}, ${id}) is left alone: ${reason}.`, 1);
}

/** @throws Refusal if a person says no */
export async function confirm(
  question: string,
  args: Arguments,
  { canAsk, ask }: Terminal,
): Promise<void> {
  if (args.flag('yes') || !canAsk) return;
  const answer = await ask(`${question} [y/N] `);
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Refusal('Nothing was ended.', 1);
}
