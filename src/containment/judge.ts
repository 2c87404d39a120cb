import type { Os } from '../os/os.ts';
import { judgeOwner, type Owner, type OwnerVerdict } from '../tree/identity.ts';
import { hasMark, marksOf } from '../tree/marks.ts';
import type { JudgeContext } from './context.ts';
import type { Beating, Pulse } from './failure-detector.ts';

/** A verdict on an owner, with its last sign of life from elsewhere. */
export interface Judgement extends Partial<Pick<Pulse, 'aliveAtMs' | 'silentMs'>> {
  readonly verdict: OwnerVerdict;
}

/** Tells whether any live process carries the mark of one of these cookie segments. */
export async function isCarried(
  segments: readonly string[],
  os: JudgeContext['os'],
): Promise<boolean> {
  const table = await os.processes.snapshot();
  const wanted = segments.map(marksOf);
  return [...table.values()].some((entry) => wanted.some((marks) => hasMark(entry, marks)));
}

type Read = NonNullable<Os['processes']['read']>;

/** Judges an owner from here; takes a snapshot where the system reads no single process. */
export async function judgeHere(
  owner: Omit<Owner, 'instance'>,
  context: JudgeContext,
): Promise<Judgement> {
  return judgeBy(owner, context, await readerOf(context.os));
}

/** Judges an owner by its process, or by its heartbeat where the process cannot be looked up. */
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

/** Tells whether a whole PID namespace is dead, because its first process is. */
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

/** Returns a reader of single processes: the system's own, or one on a snapshot taken now. */
export async function readerOf({ processes }: Pick<Os, 'processes'>): Promise<Read> {
  const { read, snapshot } = processes;
  if (read !== undefined) return read;
  const table = await snapshot();
  return (pid) => table.get(pid);
}
