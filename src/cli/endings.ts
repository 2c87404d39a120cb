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

/** A recorded process that may be ended, with its owner. */
export interface Target extends SurveyedRecord {
  readonly ownerIsAlive: boolean;
}

/** A recorded process that is left alone although it may be alive, with the reason. */
export interface Exempt {
  readonly record: SupervisionRecord;
  readonly reason: string;
}

/** The recorded processes of all owners that are alive, or may be. */
export interface Field {
  readonly owners: readonly SurveyedOwner[];
  readonly targets: readonly Target[];
  readonly exempt: readonly (Exempt & { readonly owner: string })[];
  readonly context: OnlookerContext;
}

/**
 * Finds the processes that may be ended: those of this machine, boot and namespace whose identity is
 * proven.
 */
export async function findTargets(registry: Registry): Promise<Field> {
  const context = await onlooker(registry);
  const { owners, table } = await survey(context);
  // This command cannot end a tree that it runs in itself.
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

/** Returns why a record cannot be judged from here; `undefined` if it can, or if its process is gone. */
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

/** The processes to end, and those that were selected but have to be left alone. */
export interface Selection {
  /** The selection's name in the question. */
  readonly what: string;
  readonly targets: readonly Target[];
  readonly exempt: readonly Exempt[];
  readonly cause: Order['cause'];
}

/** The result of ending a selection. */
interface Outcome {
  readonly ended: readonly { id: string; pid: number; command: string; sessionId: string | null }[];
  readonly survivors: readonly Survivor[];
  readonly leftAlone: readonly { id: string; pid: number; command: string; reason: string }[];
}

/**
 * Ends the targets in reverse start order, and prints the result. On a terminal it asks first. Resolves to
 * the exit code.
 */
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
    // Record the request before the first signal. From it the host learns the cause of the end, and does
    // not restart the process. If the process has exited and only descendants are left, the host knows
    // already.
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

/** Makes the refusal for a single process that is left alone. */
export function leftAlone({ record: { id, pid, command }, reason }: Exempt): Refusal {
  return new Refusal(`${command} (pid ${pid}, ${id}) is left alone: ${reason}.`, 1);
}

/**
 * Asks before an end, if a person can answer.
 *
 * @throws Refusal if the answer is not yes
 */
export async function confirm(
  question: string,
  args: Arguments,
  { canAsk, ask }: Terminal,
): Promise<void> {
  if (args.flag('yes') || !canAsk) return;
  const answer = await ask(`${question} [y/N] `);
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Refusal('Nothing was ended.', 1);
}
