import { type SurveyedOwner, type SurveyedRecord, survey } from '../doctor/survey.ts';
import type { Terminal } from '../os/terminal.ts';
import { giveOrder, removeOrders } from '../ownership/orders.ts';
import { endRecorded } from '../ownership/orphans.ts';
import type { Order } from '../ownership/record.ts';
import type { Survivor } from '../reports.ts';
import { lineage } from '../termination/tree.ts';
import type { Arguments } from './arguments.ts';
import { plain } from './paint.ts';
import { Refusal } from './refusal.ts';
import { type OnlookerContext, onlooker, type Registry } from './registry.ts';

/** A recorded process that is to be ended, and whose it is. */
export interface Target extends SurveyedRecord {
  readonly ownerIsAlive: boolean;
}

/** What is alive of what the owners of a registry have written down. */
export interface Field {
  readonly owners: readonly SurveyedOwner[];
  readonly targets: readonly Target[];
  readonly context: OnlookerContext;
}

/** Finds everything that may be ended: of this machine, boot and namespace, and with a process that is proven. */
export async function findTargets(registry: Registry): Promise<Field> {
  const context = await onlooker(registry);
  const { owners, table } = await survey(context);
  // What this command itself runs in cannot be ended by it.
  const own = lineage(table, context.self.pid);
  const targets = owners.flatMap(({ verdict, records }) => {
    if (verdict !== 'alive' && verdict !== 'dead') return [];
    const alive = records.filter(
      ({ record, members }) => members.length > 0 && !own.has(record.pid),
    );
    return alive.map((one) => ({ ...one, ownerIsAlive: verdict === 'alive' }));
  });
  return { owners, targets, context };
}

/** What became of them. */
export interface Outcome {
  readonly ended: readonly { id: string; pid: number; command: string; sessionId: string | null }[];
  readonly survivors: readonly Survivor[];
}

/** Asks if a person is there to be asked, then ends the targets in reverse start order; says what became of them, and the exit code. */
export async function endTargets(
  targets: readonly Target[],
  what: string,
  cause: Order['cause'],
  { context }: Field,
  args: Arguments,
  terminal: Terminal,
): Promise<number> {
  await confirm(`End ${what}, with ${count(targets)}?`, args, terminal);
  const outcome = await end(targets, cause, context);
  const { ended, survivors } = outcome;
  if (args.json) terminal.stdout.write(`${JSON.stringify(outcome, null, 2)}\n`);
  else {
    for (const { id, pid, command } of ended)
      terminal.stdout.write(`ended ${plain(command)} (pid ${pid}, ${id})\n`);
    for (const { id, pid, command } of survivors)
      terminal.stderr.write(
        `agent-supervisor: ${plain(command)} (pid ${pid}, of ${id}) is still alive.\n`,
      );
  }
  return survivors.length > 0 ? 1 : 0;
}

async function end(
  targets: readonly Target[],
  cause: Order['cause'],
  context: OnlookerContext,
): Promise<Outcome> {
  const latestFirst = targets.toSorted((a, b) => b.record.startedAt - a.record.startedAt);
  const ends = latestFirst.map(async ({ owner, record, ownerIsAlive }) => {
    const process = { owner, id: record.id };
    // Before the first signal: its host tells by it why its process ends, and starts no other.
    if (ownerIsAlive) giveOrder(context.stateDir, process, cause);
    const survivors = await endRecorded(owner, record, { ...context, dryRun: false });
    if (survivors.length > 0) removeOrders(context.stateDir, process);
    return { record, survivors };
  });
  const done = await Promise.all(ends);
  return {
    ended: done
      .filter(({ survivors }) => survivors.length === 0)
      .map(({ record: { id, pid, command, sessionId = null } }) => ({
        id,
        pid,
        command,
        sessionId,
      })),
    survivors: done.flatMap(({ survivors }) => survivors),
  };
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

function count(targets: readonly Target[]): string {
  const processes = targets.reduce((sum, { members }) => sum + members.length, 0);
  return processes === 1 ? '1 process' : `${processes} processes`;
}
