import * as z from 'zod/mini';
import type { RecoveryContext } from '../containment/context.ts';
import { findKept, type KeptFile } from '../containment/kept.ts';
import { holderOf } from '../containment/recovery.ts';
import { SupervisorError } from '../errors.ts';
import { COOKIE_VARIABLE, type Os, type ProcessEntry, type ProcessTable } from '../os/os.ts';
import { takeFile } from '../store/exclusive.ts';
import { marksInCookie } from '../tree/cookie.ts';
import { isSameProcess } from '../tree/identity.ts';
import { marksOf, marksOfProcess } from '../tree/marks.ts';
import { lineage } from '../tree/tree.ts';
import { Handle, type SupervisedProcess } from './handle.ts';
import { LiveProcess } from './managed-process.ts';
import { sessionId } from './request.ts';
import { comeBack } from './start.ts';
import type { Corridor } from './supervision.ts';

/** How often an adopted process is looked at: nobody tells us of its exit. */
const WATCH_MS = 1000;

/** @internal */
export const adoptOptions = z.lazy(() =>
  z
    .strictObject({
      pid: z.optional(z.int()),
      id: z.optional(z.string().check(z.minLength(1), z.maxLength(64))),
      kind: z.optional(z.string().check(z.minLength(1), z.maxLength(256))),
      sessionId: z.optional(sessionId),
      keepAlive: z._default(z.boolean(), true),
    })
    .check(
      z.refine(({ pid, id }) => (pid === undefined) !== (id === undefined), {
        error: 'must name either a pid or the id of a process that lives on',
        path: ['pid'],
      }),
    ),
);

/** Which process to adopt, and what for. */
export interface AdoptOptions {
  /** Any process of the host's user that nobody else supervises. */
  pid?: number | undefined;
  /** Instead: a process that an earlier host started with `outlivesHost`, by its record's id. */
  id?: string | undefined;
  /** Default: `'adopted'`, or what it was. */
  kind?: string | undefined;
  /** Default: none, or what it was. */
  sessionId?: string | number | undefined;
  /** Whether it keeps this host alive as long as it lives, as a child does. @default true */
  keepAlive?: boolean | undefined;
}

/** @internal Takes the identity of a process that others have started, and supervises it from now on. */
export async function adopt(
  corridor: Corridor,
  { pid, id, keepAlive, ...wish }: z.output<typeof adoptOptions>,
  context: RecoveryContext,
): Promise<SupervisedProcess> {
  const { os, live: all, emit } = corridor;
  const what: AdoptionWish = id === undefined ? { pid: pid ?? 0 } : { id };
  const guardian = corridor.registry().guardian.pid;
  const { table, entry, kept } = await findAdoptable(what, context, { live: all, guardian });
  const registry = corridor.registry();
  const handle = new Handle(corridor.nextId(), { stdin: false, stdout: false, stderr: false });
  const record = {
    id: handle.id,
    pid: entry.pid,
    startTime: entry.startTime,
    bootId: context.self.bootId,
    pidNamespace: context.self.pidNamespace,
    // A session cannot be joined: all that is in the one that it leads is its own.
    group: entry.sid === entry.pid,
    kind: wish.kind ?? kept?.record.kind ?? 'adopted',
    sessionId: wish.sessionId ?? kept?.record.sessionId,
    command: entry.command,
    cwd: kept?.record.cwd ?? '',
    startedAt: os.startedAt?.(entry.startTime) ?? os.clock.now(),
  };
  const session =
    record.sessionId === undefined ? undefined : corridor.sessions.enter(record.sessionId);
  session?.assertOpen();
  registry.add(record);
  try {
    if (kept === undefined) await refuseIfHeld(entry, context);
    // A stop may have begun meanwhile; from here on nothing waits.
    corridor.registry();
    if (kept !== undefined) take(kept);
  } catch (error) {
    registry.remove(record);
    throw error;
  }
  const watch = new Watch(os, { ...record, keepAlive }, () => {
    const end = { code: null, signal: null, unseen: true, stderrTail: () => '' };
    void comeBack({ ...corridor, request: {}, handle, session }, registry, undefined, live, end);
  });
  const live = new LiveProcess(corridor, {
    handle,
    child: undefined,
    record,
    segment: kept?.segment ?? registry.segment(handle.id),
    signal: undefined,
    holdsSlot: false,
    onSeenDead: () => void watch.look(),
  });
  all.set(handle.id, live);
  // What it has started already is known at once, and not only when it is dead.
  live.tree.membersIn(table);
  session?.started();
  registry.history.started(registry.owner.instance, record);
  handle.control(live);
  handle.attach({ pid: entry.pid, stdin: null, stdout: null, stderr: null });
  emit('adopted', { ...live.subject, pid: entry.pid });
  return handle;
}

type Watched = Pick<ProcessEntry, 'pid' | 'startTime'> & { readonly keepAlive: boolean };

/** Looks now and then whether a process is still there, until it is not. */
class Watch {
  readonly #os: Os;
  readonly #process: Watched;
  readonly #onDeath: () => void;
  #cancel: () => void = () => undefined;
  #over = false;

  constructor(os: Os, process: Watched, onDeath: () => void) {
    this.#os = os;
    this.#process = process;
    this.#onDeath = onDeath;
    this.#again();
  }

  async look(): Promise<void> {
    this.#cancel();
    const isThere = await this.#isThere();
    if (this.#over) return;
    if (isThere) {
      this.#again();
      return;
    }
    this.#over = true;
    this.#onDeath();
  }

  #again(): void {
    this.#cancel();
    const { keepAlive } = this.#process;
    this.#cancel = this.#os.clock.after(WATCH_MS, () => void this.look(), { keepAlive });
  }

  async #isThere(): Promise<boolean> {
    const { read, snapshot } = this.#os.processes;
    try {
      const now = read ? read(this.#process.pid) : (await snapshot()).get(this.#process.pid);
      return now?.alive === true && isSameProcess(this.#process, now);
    } catch {
      // No look is no proof of death.
      return true;
    }
  }
}

/** What is to be adopted: any process by its pid, or one that lives on by its record's id. */
type AdoptionWish = { readonly pid: number } | { readonly id: string };

/** A process that may be adopted, and what was known of it. */
interface Adoptable {
  readonly table: ProcessTable;
  readonly entry: ProcessEntry;
  readonly kept: KeptFile | undefined;
}

/**
 * Finds the process and proves that it is nobody's; `own` is what we supervise, and who guards us.
 *
 * @throws SupervisorError `NOT_ADOPTABLE` with the reason
 */
async function findAdoptable(
  wish: AdoptionWish,
  context: RecoveryContext,
  own: { readonly live: Corridor['live']; readonly guardian: number | undefined },
): Promise<Adoptable> {
  const kept = 'id' in wish ? await keptWith(wish.id, context) : undefined;
  const pid = 'pid' in wish ? wish.pid : (kept?.record.pid ?? 0);
  const refuse = (reason: string): never => {
    throw notAdoptable('id' in wish ? `"${wish.id}" (pid ${pid})` : `pid ${pid}`, reason);
  };
  if (pid <= 1) refuse('it is no process of yours: 1 is the init process, 0 and below are groups');
  const { os, self } = context;
  const table = await os.processes.snapshot();
  if (lineage(table, self.pid).has(pid)) refuse('it is this host, or one of its ancestors');
  const entry = table.get(pid) ?? refuse('there is no such process');
  if (!entry.alive) refuse('it is dead already (a zombie)');
  if (kept !== undefined && entry.startTime !== kept.record.startTime) refuse('it has ended');
  if (!os.isOwnUsers(pid)) refuse("it is another user's");
  const ancestors = [...lineage(table, pid)];
  // What a guardian has started serves it.
  if (ancestors.some((ancestor) => ancestor === own.guardian || os.isGuardian?.(ancestor)))
    refuse('it is the guardian of a supervisor, which ends what its host leaves');
  const supervised = new Set(Array.from(own.live.values(), ({ record }) => record.pid));
  const tree = ancestors.find((ancestor) => supervised.has(ancestor));
  if (tree !== undefined) refuse(`it belongs to the tree of pid ${tree}, which is supervised here`);
  const host = table.get(self.pid);
  const allowed = [
    ...marksInCookie(os.environment()[COOKIE_VARIABLE]),
    ...(host === undefined ? [] : marksOfProcess(host)),
    ...(kept === undefined ? [] : Object.values(marksOf(kept.segment))),
  ];
  const foreign = marksOfProcess(entry).find((claim) => !allowed.includes(claim));
  if (foreign !== undefined)
    refuse(`it bears the mark of another supervised process ("${foreign}")`);
  return { table, entry, kept };
}

/** Asked once it stands in our own journal: of two hosts at once at most one takes it. */
async function refuseIfHeld(entry: ProcessEntry, context: RecoveryContext): Promise<void> {
  const holder = await holderOf(entry, context);
  if (holder === undefined) return;
  const reason = `supervisor ${holder} holds it, and is alive as far as can be told`;
  throw notAdoptable(`pid ${entry.pid}`, reason);
}

function take({ path, record }: KeptFile): void {
  try {
    takeFile(path);
  } catch (cause) {
    throw notAdoptable(`"${record.id}"`, 'another host has just adopted it', cause);
  }
}

async function keptWith(id: string, context: RecoveryContext): Promise<KeptFile> {
  const { kept } = await findKept({ ...context, dryRun: true });
  const found = kept.find(({ record }) => record.id === id);
  if (found === undefined)
    throw notAdoptable(`"${id}"`, `no process with this id lives on in ${context.stateDir}`);
  if (found.ownerIsAlive) throw notAdoptable(`"${id}"`, 'its own host is alive');
  return found;
}

function notAdoptable(what: string, reason: string, cause?: unknown): SupervisorError {
  const advice = 'Adopt what you or an earlier host started; start() lists what lives on.';
  return new SupervisorError('NOT_ADOPTABLE', `adopt: ${what} was refused: ${reason}. ${advice}`, {
    cause,
    data: { reason },
  });
}
