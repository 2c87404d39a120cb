import {
  type ExitCause,
  type ExitReport,
  type SupervisedProcess,
  SupervisorError,
  type SupervisorErrorCode,
} from '../index.ts';
import { sleep } from '../os/clock.ts';
import type { Endpoint } from '../os/os.ts';
import { answers, holding, PROBE_MS } from '../ready/readiness.ts';
import type { SupervisorInternals } from '../supervisor/internals.ts';
import type { CheckedReady } from './definition.ts';
import { localEndpointOf, taken } from './endpoint.ts';

/** The poll intervals: at first, and when it takes longer. */
const POLL_MS = 2;
const LATE_POLL_MS = 25;
const LATE_AFTER_MS = 500;
/** A longer line on stdout is looked at up to here. */
const MAX_LINE_LENGTH = 64 * 1024;

export interface ReadinessContext {
  readonly name: string;
  readonly internals: SupervisorInternals;
  /** Aborted when the service is no longer wanted. */
  readonly signal: AbortSignal;
}

/**
 * Resolves when a process that has just been spawned is ready.
 *
 * @throws SupervisorError `READY_TIMEOUT`, `SPAWN_FAILED` if it exits before, `ALREADY_RUNNING` if a
 * stranger answers in its place, or what prevented its start
 */
export async function untilReady(
  process: SupervisedProcess,
  ready: CheckedReady | undefined,
  context: ReadinessContext,
): Promise<void> {
  const { internals, signal } = context;
  const over = new AbortController();
  const failure = Promise.withResolvers<never>();
  const onAbort = () => failure.reject(signal.reason);
  const onExit = () =>
    void process.exited.then((report) => failure.reject(exited(context, report)));
  let lastError: unknown;
  const onTimeout = () => failure.reject(timedOut(context, ready, process.pid, lastError));
  let cancel = (): void => undefined;
  // A start that waits for the pool uses up nothing of it.
  const arm = (): void => {
    if (ready === undefined || over.signal.aborted) return;
    const { running } = internals.os.clock;
    cancel = running.after(ready.timeoutMs, onTimeout, { keepAlive: true });
  };
  void process.started.then(arm, () => undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  process.once('exit', onExit);
  try {
    if (signal.aborted) onAbort();
    const note = (error: unknown) => {
      lastError = error;
    };
    await Promise.race([failure.promise, answer(process, ready, context, over.signal, note)]);
  } finally {
    cancel();
    over.abort();
    signal.removeEventListener('abort', onAbort);
    process.off('exit', onExit);
  }
}

async function answer(
  process: SupervisedProcess,
  ready: CheckedReady | undefined,
  context: ReadinessContext,
  over: AbortSignal,
  note: (error: unknown) => void,
): Promise<void> {
  // Heard from its first word on.
  const said = ready && 'stdout' in ready.by ? line(process, ready.by.stdout, over) : undefined;
  // Output that is not read must not fill the pipe.
  process.stdout.resume();
  await process.started;
  if (ready === undefined) return;
  if (said !== undefined) return said;
  const { clock } = context.internals.os;
  const beganMs = clock.monotonicMs();
  while (!over.aborted) {
    const isReady = await ask(process, ready, context, over).catch((error) => {
      if (error instanceof SupervisorError) throw error;
      note(error);
      return false;
    });
    if (isReady) return;
    const pauseMs = clock.monotonicMs() - beganMs < LATE_AFTER_MS ? POLL_MS : LATE_POLL_MS;
    await sleep(pauseMs, clock);
  }
}

async function ask(
  process: SupervisedProcess,
  ready: CheckedReady,
  { internals, name }: ReadinessContext,
  signal: AbortSignal,
): Promise<boolean> {
  const { by } = ready;
  const context = { pid: process.pid ?? 0, signal, timeoutMs: PROBE_MS };
  if ('stdout' in by || !(await answers(by, context, internals.os))) return false;
  const endpoint = localEndpointOf(ready);
  return endpoint === undefined || isOwn(process, endpoint, name, internals);
}

/**
 * Tells if a process of the tree listens there.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if another process listens
 */
async function isOwn(
  { id, pid = 0 }: SupervisedProcess,
  endpoint: Endpoint,
  name: string,
  internals: SupervisorInternals,
): Promise<boolean> {
  const { os } = internals;
  // Where the system cannot tell the listeners, this must be one: none listened before the start.
  const { ours, isTold } = await holding(endpoint, [pid], os);
  if (!isTold || ours.length > 0) return true;
  const all = (await os.listeners?.(endpoint)) ?? [];
  const members = new Set((await internals.membersOf(id)).map((member) => member.pid));
  if (all.some((listener) => members.has(listener.pid ?? 0))) return true;
  if (all.length > 0) throw taken(endpoint, name, all);
  throw new Error('it answers, but the system shows nobody who listens there');
}

/** Resolves when a line of its stdout matches. */
function line({ stdout }: SupervisedProcess, pattern: RegExp, over: AbortSignal): Promise<void> {
  // Without the flags by which a pattern remembers where it was.
  const wanted = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  const decoder = new TextDecoder();
  let torn = '';
  return new Promise((resolve) => {
    const onData = (chunk: Uint8Array | string): void => {
      // Bun 1.2.2 hands out text.
      const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
      const lines = `${torn}${text}`.split('\n');
      // A prompt never ends its line.
      if (lines.some((each) => wanted.test(each))) {
        stdout.off('data', onData);
        resolve();
      }
      torn = (lines.pop() ?? '').slice(-MAX_LINE_LENGTH);
    };
    stdout.on('data', onData);
    over.addEventListener('abort', () => stdout.off('data', onData), { once: true });
  });
}

/** The end was intended, so it is no failure of the service. */
const GIVEN_UP: Partial<Record<ExitCause, SupervisorErrorCode>> = {
  shutdown: 'STOPPING',
  reaped: 'ABORTED',
  aborted: 'ABORTED',
  duplicate: 'ABORTED',
  'wall-clock': 'SESSION_EXPIRED',
  budget: 'BUDGET_EXCEEDED',
};

function exited({ name }: ReadinessContext, report: ExitReport): SupervisorError {
  if (report.error !== undefined) return report.error;
  const { cause, signal, code, stderrTail } = report;
  const how = `${cause}, ${signal ?? `code ${code}`}`;
  const lastWords = stderrTail.trimEnd().split('\n').at(-1);
  return new SupervisorError(
    GIVEN_UP[cause] ?? 'SPAWN_FAILED',
    `Service "${name}" has ended (${how}) before it was ready${lastWords ? `: ${lastWords}` : '.'}`,
    { data: { name, report } },
  );
}

function timedOut(
  { name }: ReadinessContext,
  ready: CheckedReady | undefined,
  pid: number | undefined,
  cause: unknown,
): SupervisorError {
  const { timeoutMs, by = {} } = ready ?? {};
  return new SupervisorError(
    'READY_TIMEOUT',
    `Service "${name}" was not ready within ${timeoutMs} ms (by its ${Object.keys(by)[0]}), and was ended. See why, or raise ready.timeoutMs.`,
    { cause, data: { name, pid, timeoutMs } },
  );
}
