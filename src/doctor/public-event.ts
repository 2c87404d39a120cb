import type { ProcessSubject, SupervisorEvent, SupervisorEvents } from '../events.ts';
import { redactSecrets } from '../process/redaction.ts';
import type { EndReport, ExitReport, ProcessName, Survivor, WaitsFor } from '../reports.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** An event without secrets, texts of processes, or paths. */
export type PublicDetail = Readonly<Record<string, Json>>;

/** Texts that nothing shown may contain. */
export interface Confidential {
  /** Secret values. */
  readonly secrets: readonly string[];
  /** Absolute paths of folders. */
  folders(): readonly string[];
}

const MAX_NAME_LENGTH = 200;
const MAX_TEXT_LENGTH = 500;
const MAX_LIST_LENGTH = 50;

/**
 * Matches from the first path (absolute, relative, of a home or a file URL) to the end of the text.
 * The end of a path cannot be found, since a folder's name may contain any character.
 */
const PATH_TO_END = /(?:file:|~|\.{1,2}|\b[a-z]:|(?<![\w<>]))[\\/].*$/is;

/** Removes secrets and folders from a text. Cuts the text after a path, since the rest may belong to it. */
export function textWithoutFolders(text: string, { secrets, folders }: Confidential): string {
  let shown = redactSecrets(text, secrets);
  // The longest first, since one may be the prefix of another.
  const longestFirst = [...folders()].sort((a, b) => b.length - a.length);
  for (const folder of longestFirst) {
    if (folder.length > 1) shown = shown.replaceAll(folder, '[folder]');
  }
  shown = shown.replace(/\[folder\][\\/]\S*/g, '[folder]').replace(PATH_TO_END, '[folder]');
  return cut(shown, MAX_TEXT_LENGTH);
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

/** Redacts the words of an event: `name` for ids, kinds and programs, `text` for sentences. */
interface Shown {
  name(text: string): string;
  text(text: string): string;
}

const orNull = <T>(value: T | undefined): T | null => value ?? null;

function subject({ id, kind, sessionId }: ProcessSubject, { name }: Shown) {
  return { id, kind: name(kind), sessionId: sessionId === undefined ? null : name(sessionId) };
}

function processes(list: readonly (ProcessName | Survivor)[], { name }: Shown) {
  const shown = list
    .slice(0, MAX_LIST_LENGTH)
    .map(({ pid, command }) => ({ pid, command: name(command) }));
  return { processes: shown, count: list.length };
}

function exit(report: ExitReport, show: Shown) {
  const { pid, code, signal, cause, intentional, forced, durationMs, pausedMs } = report;
  return {
    ...subject(report, show),
    pid: orNull(pid),
    code,
    signal,
    cause,
    intentional,
    forced,
    durationMs: Math.round(durationMs),
    pausedMs: Math.round(pausedMs),
    leftovers: report.leftovers.length,
    error: report.error?.code ?? null,
  };
}

function waitsFor(
  { waitsFor }: { readonly waitsFor: WaitsFor | undefined },
  { text }: Shown,
): Json {
  const name = waitsFor?.name;
  return waitsFor === undefined
    ? null
    : { cause: waitsFor.cause, name: name === undefined ? null : text(name) };
}

type Projection = {
  readonly [E in SupervisorEvent]: (detail: SupervisorEvents[E], show: Shown) => PublicDetail;
};

/** An allow list: fields that are not named here are not shown. */
const PROJECTIONS: Projection = {
  requested: subject,
  queued: (detail, show) => ({
    ...subject(detail, show),
    waiting: detail.waiting,
    waitsFor: waitsFor(detail, show),
    reason: show.text(detail.reason),
  }),
  waiting: (detail, show) => ({
    ...subject(detail, show),
    waitedMs: detail.waitedMs,
    waitsFor: waitsFor(detail, show),
    holders: detail.holders.slice(0, MAX_LIST_LENGTH),
    ofSession: detail.ofSession.slice(0, MAX_LIST_LENGTH),
    reason: show.text(detail.reason),
  }),
  started: (detail, show) => ({ ...subject(detail, show), pid: detail.pid }),
  adopted: (detail, show) => ({ ...subject(detail, show), pid: detail.pid }),
  refused: (detail, show) => ({ ...subject(detail, show), error: detail.error.code }),
  ending: (detail, show) => ({
    ...subject(detail, show),
    pid: detail.pid,
    cause: detail.cause,
    reason: detail.reason === undefined ? null : show.text(detail.reason),
  }),
  leftovers: (detail, show) => ({
    ...subject(detail, show),
    action: detail.action,
    ...processes(detail.processes, show),
  }),
  survivors: (detail, show) => ({
    ...subject(detail, show),
    ...processes(detail.survivors, show),
  }),
  exited: exit,
  'session-expired': ({ sessionId, createdAt, ageMs, maxWallClockMs, live }, { name }) => ({
    ...{ sessionId: name(sessionId), createdAt, ageMs, maxWallClockMs, live },
  }),
  restarting: ({ sessionId, name: run, attempt, delayMs, after }, show) => ({
    sessionId: sessionId === undefined ? null : show.name(sessionId),
    name: run === undefined ? null : show.name(run),
    attempt,
    delayMs,
    after: exit(after, show),
  }),
  // Without its reason, which may quote the output of a process.
  service: ({ name: service, from, state, pid }, { name }) => ({
    ...{ name: name(service), from, state, pid: orNull(pid) },
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
  warning: ({ code, message }, { text }) => ({ code, message: text(message) }),
  'pool-paused': ({ reason, until }, { text }) => ({ reason: text(reason), until: orNull(until) }),
  'pool-resumed': ({ reason, pausedMs }, { text }) => ({ reason: text(reason), pausedMs }),
  stopping: ({ reason }, { text }) => ({ reason: reason === undefined ? null : text(reason) }),
  stopped: ({ durationMs }) => ({ durationMs: Math.round(durationMs) }),
};

/** The name of every event. */
export const EVENT_NAMES = Object.keys(PROJECTIONS) as readonly SupervisorEvent[];

/**
 * Reduces an event to what may leave the host: names, numbers, codes, and texts redacted by
 * {@link textWithoutFolders}. No output of a process, argument, folder or error message.
 */
export function publicEvent<E extends SupervisorEvent>(
  event: E,
  detail: SupervisorEvents[E],
  confidential: Confidential,
): PublicDetail {
  return PROJECTIONS[event](detail, shownBy(confidential));
}

/** Reduces the report of an action to what may leave the host. */
export function publicEnd(report: EndReport, confidential: Confidential) {
  const { ended, survivors, unproven, durationMs } = report;
  const show = shownBy(confidential);
  return {
    ended: ended.map((one) => exit(one, show)),
    survivors: processes(survivors, show).processes,
    unproven: unproven.flatMap(({ pid }) => pid ?? []),
    durationMs: Math.round(durationMs),
  };
}

function shownBy(confidential: Confidential): Shown {
  return {
    name: (text) => cut(redactSecrets(text, confidential.secrets), MAX_NAME_LENGTH),
    text: (text) => textWithoutFolders(text, confidential),
  };
}
