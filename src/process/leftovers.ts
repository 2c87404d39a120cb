import { callHost } from '../os/call-host.ts';
import type { ProcessEntry } from '../os/os.ts';
import type { ProcessName } from '../reports.ts';
import type { LeftoverAction, LeftoverRule } from './ending-rules.ts';
import type { ManagedProcess } from './managed-process.ts';
import type { Supervision } from './supervision.ts';

const ADVICE = "To let such processes live on, spawn with leftovers: 'keep'.";

/** Tells if every leftover of a process may live on, whatever they are. */
export function keepsAll(s: Supervision, { request }: ManagedProcess): boolean {
  return (request.leftovers ?? s.options.leftovers) === 'keep';
}

/** Keeps or ends what is left of a process that exited by itself; resolves to the names of it. */
export async function endLeftovers(s: Supervision, p: ManagedProcess): Promise<ProcessName[]> {
  const members = await p.tree.liveMembers();
  // Processes that refuse signals are named, but not awaited.
  const all = [...members, ...p.tree.denied];
  const rule = p.request.leftovers ?? s.options.leftovers;
  const kept = p.kept ? all : all.filter((each) => actionFor(each, rule) === 'keep');
  const rest = all.filter((each) => !kept.includes(each));
  if (kept.length > 0) {
    p.registry.keep(p.id);
    if (!p.kept) p.tree.spare(kept);
    emit(s, p, kept, 'keep');
  }
  if (rest.length > 0) {
    emit(s, p, rest, 'terminate');
    await grace(p);
    if (!p.ending) void p.terminateTree();
  }
  return all.map(nameOf);
}

/** Lets leftovers finish by themselves for a while, unless somebody ends the process's tree. */
async function grace(p: ManagedProcess): Promise<void> {
  const { leftoversGraceMs = 0 } = p.request;
  if (leftoversGraceMs > 0) await p.goneWithin(leftoversGraceMs);
}

/** A rule that throws keeps nobody, and its error is the host's own. */
function actionFor(process: ProcessEntry, rule: LeftoverRule): LeftoverAction {
  if (typeof rule !== 'function') return rule;
  let action: LeftoverAction = 'terminate';
  callHost(() => {
    action = rule(nameOf(process));
  });
  return action;
}

function emit(
  s: Supervision,
  p: ManagedProcess,
  members: readonly ProcessEntry[],
  action: LeftoverAction,
): void {
  s.emit('leftovers', { ...p.subject, processes: members.map(nameOf), action, advice: ADVICE });
}

const nameOf = ({ pid, command }: ProcessEntry): ProcessName => ({ pid, command });
