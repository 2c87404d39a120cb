import type { ProcessSubject, SupervisorEvent, SupervisorEvents } from '../events.ts';
import type { EndReport, ExitReport, ProcessName, Survivor } from '../reports.ts';
import { redactSecrets } from '../spawn/stderr-tail.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** An event as strangers may read it. */
export type PublicDetail = Readonly<Record<string, Json>>;

/** What must not be read in a text that somebody wrote. */
export interface Confidential {
  /** Values that are secret wherever they stand. */
  readonly secrets: readonly string[];
  /** Folders, each with its whole path. */
  readonly folders: readonly string[];
}

const MAX_NAME_LENGTH = 200;
const MAX_TEXT_LENGTH = 500;
const MAX_LIST_LENGTH = 50;

/**
 * From the first thing that looks like an absolute path (or a home, a relative one, a URL's) on: where it
 * ends cannot be told, as a folder may have any name.
 */
const PATH_TO_END = /(?:file:|~|\.{1,2}|\b[a-z]:|(?<![\w<>]))[\\/].*$/is;

/** A text without secrets and without folders; what follows a path is cut, as it may belong to it. */
export function publicText(text: string, { secrets, folders }: Confidential): string {
  let shown = redactSecrets(text, secrets);
  // The longest first: one may be within another.
  const longestFirst = [...folders].sort((a, b) => b.length - a.length);
  for (const folder of longestFirst) {
    if (folder.length > 1) shown = shown.replaceAll(folder, '[folder]');
  }
  shown = shown.replace(/\[folder\][\\/]\S*/g, '[folder]').replace(PATH_TO_END, '[folder]');
  return cut(shown, MAX_TEXT_LENGTH);
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

const name = (text: string): string => cut(text, MAX_NAME_LENGTH);
const orNull = <T>(value: T | undefined): T | null => value ?? null;

function subject({ id, kind, sessionId }: ProcessSubject) {
  return {
    id,
    kind: name(kind),
    sessionId: sessionId === undefined ? null : name(sessionId),
  };
}

const processName = ({ pid, command }: ProcessName) => ({ pid, command: name(command) });

function survivor(alive: Survivor) {
  return { id: alive.id, ...processName(alive) };
}

/** The first of a list, and how many there are in all. */
function some<T, U>(list: readonly T[], show: (item: T) => U): U[] {
  return list.slice(0, MAX_LIST_LENGTH).map(show);
}

function exit(report: ExitReport) {
  const { pid, code, signal, cause, intentional, forced, durationMs, leftovers, error } = report;
  return {
    ...subject(report),
    pid: orNull(pid),
    code,
    signal,
    cause,
    intentional,
    forced,
    durationMs: Math.round(durationMs),
    leftovers: leftovers.length,
    error: error?.code ?? null,
  };
}

/** What an action ended, and what it could not. */
export function publicEnd({ ended, survivors, unproven, durationMs }: EndReport) {
  return {
    ended: ended.map(exit),
    survivors: survivors.map(survivor),
    unproven: unproven.flatMap(({ pid }) => pid ?? []),
    durationMs: Math.round(durationMs),
  };
}

type Projection = {
  readonly [E in SupervisorEvent]: (
    detail: SupervisorEvents[E],
    show: (text: string) => string,
  ) => PublicDetail;
};

/** Each event, field by field: what is not named here is not shown. */
const PROJECTIONS: Projection = {
  queued: (detail) => ({ ...subject(detail), waiting: detail.waiting }),
  waiting: (detail) => ({
    ...subject(detail),
    waitedMs: detail.waitedMs,
    holders: some(detail.holders, name),
  }),
  started: (detail) => ({ ...subject(detail), pid: detail.pid }),
  adopted: (detail) => ({ ...subject(detail), pid: detail.pid }),
  refused: (detail) => ({ ...subject(detail), error: detail.error.code }),
  ending: (detail, show) => ({
    ...subject(detail),
    pid: detail.pid,
    cause: detail.cause,
    reason: detail.reason === undefined ? null : show(detail.reason),
  }),
  leftovers: (detail) => ({
    ...subject(detail),
    action: detail.action,
    processes: some(detail.processes, processName),
    count: detail.processes.length,
  }),
  survivors: (detail) => ({
    ...subject(detail),
    survivors: some(detail.survivors, survivor),
    count: detail.survivors.length,
  }),
  exited: exit,
  'session-expired': ({ sessionId, createdAt, ageMs, maxWallClockMs, live }) => ({
    sessionId: name(sessionId),
    createdAt,
    ageMs,
    maxWallClockMs,
    live,
  }),
  restarting: ({ sessionId, name: run, attempt, delayMs, after }) => ({
    sessionId: sessionId === undefined ? null : name(sessionId),
    name: run === undefined ? null : name(run),
    attempt,
    delayMs,
    after: exit(after),
  }),
  // Its reason may quote the last words of a process.
  service: ({ name: service, from, state, pid }) => ({
    name: name(service),
    from,
    state,
    pid: orNull(pid),
  }),
  swept: ({ ended, survivors, orphans, kept, forgotten, recovered, durationMs }) => ({
    ended: ended.length,
    survivors: survivors.length,
    orphans: orphans.length,
    kept: kept.length,
    forgotten,
    recovered: recovered.length,
    durationMs: Math.round(durationMs),
  }),
  warning: ({ code, message }, show) => ({ code, message: show(message) }),
  stopping: ({ reason }, show) => ({ reason: reason === undefined ? null : show(reason) }),
  stopped: ({ durationMs }) => ({ durationMs: Math.round(durationMs) }),
};

/** Every event, by name. */
export const EVENT_NAMES = Object.keys(PROJECTIONS) as readonly SupervisorEvent[];

/**
 * What of an event may leave the host: names, numbers and codes; of a text, what {@link publicText} leaves.
 * No output of a process, no argument, no folder, no error's message.
 */
export function publicEvent<E extends SupervisorEvent>(
  event: E,
  detail: SupervisorEvents[E],
  confidential: () => Confidential,
): PublicDetail {
  return PROJECTIONS[event](detail, (text) => publicText(text, confidential()));
}
