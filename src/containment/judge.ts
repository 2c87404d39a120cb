import type { Os } from '../os/os.ts';
import { judgeOwner, type Owner, type OwnerVerdict } from '../tree/identity.ts';
import { hasMark, marksOf } from '../tree/marks.ts';
import type { JudgeContext } from './context.ts';
import type { Beating, Pulse } from './failure-detector.ts';

/** What is known of an owner, and when it last gave a sign of life from elsewhere. */
export interface Judgement extends Partial<Pick<Pulse, 'aliveAtMs' | 'silentMs'>> {
  readonly verdict: OwnerVerdict;
}

/** Whether any live process hasMark the mark of one of these cookie segments. */
export async function isCarried(
  segments: readonly string[],
  os: JudgeContext['os'],
): Promise<boolean> {
  const table = await os.processes.snapshot();
  const wanted = segments.map(marksOf);
  return [...table.values()].some((entry) => wanted.some((marks) => hasMark(entry, marks)));
}

type Read = NonNullable<Os['processes']['read']>;

/** Judges an owner from here, with a look where nothing less tells who lives. */
export async function judgeHere(
  owner: Omit<Owner, 'instance'>,
  context: JudgeContext,
): Promise<Judgement> {
  return judgeBy(owner, context, await readerOf(context.os));
}

/** Judges an owner by its process, or by its heartbeat where that cannot be looked up. */
export async function judgeBy(
  owner: Omit<Owner, 'instance'>,
  { self, detector }: Omit<JudgeContext, 'os'>,
  read: Read,
): Promise<Judgement> {
  const verdict = judgeProcess(owner, self, read);
  if (verdict !== 'elsewhere' && verdict !== 'unproven') return { verdict };
  const pulse = await detector?.observe(owner, self);
  return { ...pulse, verdict: pulse?.verdict ?? verdict };
}

/** Whether a whole PID namespace is dead, by the death of its first process. */
export async function isNamespaceDead(
  init: Beating & Pick<Owner, 'pid'>,
  { self, detector }: Omit<JudgeContext, 'os'>,
): Promise<boolean> {
  return init.pid === 1 && (await detector?.observe(init, self))?.verdict === 'dead';
}

function judgeProcess(
  owner: Omit<Owner, 'instance'>,
  self: Omit<Owner, 'instance'>,
  read: Read,
): OwnerVerdict {
  try {
    return judgeOwner({ ...owner, instance: '' }, self, read);
  } catch {
    return 'unproven';
  }
}

/** Looks a process up now, or in a look that is taken now. */
export async function readerOf({ processes }: Pick<Os, 'processes'>): Promise<Read> {
  const { read, snapshot } = processes;
  if (read !== undefined) return read;
  const table = await snapshot();
  return (pid) => table.get(pid);
}
