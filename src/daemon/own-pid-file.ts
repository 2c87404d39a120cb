import { readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { heartbeatIn } from '../containment/file-heartbeats.ts';
import type { Heartbeat } from '../containment/heartbeat.ts';
import { ownIdentity } from '../containment/recorded-process.ts';
import { SupervisorError } from '../index.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { createExclusive, takeIf } from '../store/exclusive.ts';
import { makeFolder } from '../store/files.ts';
import { newHeartbeatId, removeHeartbeat } from '../store/heartbeat-file.ts';
import { asidePath, unfinishedKind } from '../store/layout.ts';
import { contentOf, holds, pidFileText, replacePidFile } from '../store/pid-file.ts';
import { PID_FILE_VERSION, type PidFile, type RecordedIdentity } from '../store/pid-record.ts';
import { parseCookie } from '../tree/cookie.ts';
import { inspectPidFile } from './inspect.ts';
import { readLaunchNote } from './launch-note.ts';
import type { PidFileDetails, PidFileFields } from './options.ts';
import { checkPath, checkPidFileDetails } from './schema.ts';

/** Attempts at a path where other processes keep creating and removing files. */
const MAX_ATTEMPTS = 100;

/**
 * Writes the pid file of this process, whole or not at all. A stale pid file is replaced.
 *
 * @throws SupervisorError `ALREADY_RUNNING` if it belongs to another living process, `STATE_DIR_UNSAFE` if
 * it cannot be written, or `INVALID_OPTIONS`, by rejection
 */
export async function writePidFile(path: string, details?: PidFileDetails): Promise<void> {
  checkPath(path, 'writePidFile');
  await claimPidFile(resolve(path), checkPidFileDetails(details), systemOs());
}

/** Writes like {@link writePidFile}, for checked input; returns the content. */
export async function claimPidFile(
  path: string,
  { name, version, socket, fields }: PidFileDetails,
  os: Os,
): Promise<PidFile> {
  const { machine, pid, startTime, bootId, pidNamespace } = await ownIdentity(os);
  const note = readLaunchNote(os);
  // If the note names another pid file, the cookie is that of another daemon above this process.
  const cookie = note !== undefined && resolve(note.pidFile) === path ? note.cookie : undefined;
  const heartbeat = os.heartbeat && newHeartbeatId();
  const identity = {
    machine,
    pid,
    startTime,
    bootId,
    pidNamespace,
    ...(heartbeat && { heartbeat }),
  };
  const claimed = true as const;
  const file: PidFile = {
    version: PID_FILE_VERSION,
    ...identity,
    ...{ name, daemonVersion: version, socket, fields, cookie, claimed },
  };
  // The cookie in this name lets our launcher find the unfinished file if we exit halfway.
  const writer = [...parseCookie(cookie).map(({ owner }) => owner), crypto.randomUUID()].join('.');
  let launch: Pick<PidFile, 'starting' | 'boot' | 'ready'> = {};
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const view = await inspectPidFile(path, os);
    if (view.state === 'invalid') {
      // The first inspection has moved a corrupt file aside; any other invalid file stays for good.
      if ((await inspectPidFile(path, os)).state === 'invalid') throw unusable(path, view.reason);
      continue;
    }
    if (view.state !== 'missing') {
      const mayTake =
        view.state === 'stale' || isSelf(view.file, identity) || isOurLaunch(view.file, cookie);
      if (!mayTake) throw taken(path, view.file, view.doubt);
      if (view.state === 'stale') removeHeartbeat(dirname(path), view.file.heartbeat);
      // Only the launcher may record that the daemon is ready.
      const { starting, boot, ready } = view.file;
      launch = view.state === 'alive' ? { starting, boot, ready } : {};
      removeIfUnchanged(path, view.file, os, writer);
    }
    try {
      makeFolder(dirname(path));
      if (!createExclusive(path, pidFileText({ ...file, ...launch }), writer)) continue;
    } catch (error) {
      throw unusable(path, (error as Error).message, error);
    }
    show(path, heartbeat, os);
    return file;
  }
  throw unusable(path, 'others write it all the time');
}

/** Replaces the fields in the pid file of this process; `false` if it is not its own any more. */
export function replaceFields(
  path: string,
  self: RecordedIdentity,
  fields: PidFileFields,
  os: Os,
): boolean {
  const file = contentOf(path, os);
  if (file === undefined || !isSelf(file, self)) return false;
  replacePidFile(path, { ...file, fields });
  return true;
}

/** Heartbeats by pid file: processes elsewhere that cannot look us up see by them that we live. */
const shown = new Map<string, Heartbeat>();

function show(path: string, id: string | undefined, os: Os): void {
  const heartbeat = id === undefined ? undefined : heartbeatIn(dirname(path), id, os);
  if (heartbeat === undefined) return;
  hide(path);
  heartbeat.open();
  shown.set(path, heartbeat);
}

function hide(path: string): void {
  shown.get(path)?.close();
  shown.delete(path);
}

/** Removes a pid file if its content is still the given one. */
export function removeIfUnchanged(
  path: string,
  file: PidFile,
  os: Os,
  writer: string = crypto.randomUUID(),
): boolean {
  const aside = asidePath(path, writer);
  if (!takeIf(path, aside, (each) => holds(each, file, os))) return false;
  rmSync(aside, { force: true });
  return true;
}

/** Removes the unfinished pid files of a dead daemon that was started under `nonce`. */
export function removeHalfWritten(path: string, nonce: string, os: Os): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    const kind = unfinishedKind(name, path, nonce);
    const half = join(folder, name);
    const isItsOwn = () => parseCookie(contentOf(half, os)?.cookie)[0]?.owner === nonce;
    if (kind === 'temporary' || (kind === 'aside' && isItsOwn())) rmSync(half, { force: true });
  }
}

/**
 * Removes the pid file of this process, and never that of another process. A file that a successor has just
 * written stays, too. Resolves to `true` if the file was removed.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, by rejection
 */
export async function removePidFile(path: string): Promise<boolean> {
  const os = systemOs();
  const at = resolve(checkPath(path, 'removePidFile'));
  return removeOwn(at, await ownIdentity(os), os);
}

/** Removes like {@link removePidFile}, for a caller that knows its own identity. */
export function removeOwn(path: string, self: RecordedIdentity, os: Os): boolean {
  const file = contentOf(path, os);
  hide(path);
  return file !== undefined && isSelf(file, self) && removeIfUnchanged(path, file, os);
}

function isSelf(file: RecordedIdentity, self: RecordedIdentity): boolean {
  return (
    file.pid === self.pid &&
    file.startTime !== undefined &&
    file.startTime === self.startTime &&
    file.bootId === self.bootId &&
    file.pidNamespace === self.pidNamespace &&
    (file.bootId !== '' || file.machine === self.machine)
  );
}

/** Tells if our own launcher has written this file, with our pid or that of a program between us. */
function isOurLaunch(file: PidFile, cookie: string | undefined): boolean {
  return cookie !== undefined && file.cookie === cookie && file.claimed === undefined;
}

function taken(path: string, { pid, name }: PidFile, doubt: string | undefined): SupervisorError {
  const who = `pid ${pid}${name === undefined ? '' : ` ("${name}")`}`;
  const why = doubt === undefined ? 'it is alive' : doubt;
  const advice =
    doubt === undefined
      ? 'End it first, or choose another path.'
      : 'Remove the file if it is gone.';
  return new SupervisorError(
    'ALREADY_RUNNING',
    `The pid file ${path} is that of ${who}: ${why}. ${advice}`,
    { data: { path, pid } },
  );
}

function unusable(path: string, reason: string, cause?: unknown): SupervisorError {
  return new SupervisorError(
    'STATE_DIR_UNSAFE',
    `The pid file ${path} cannot be written: ${reason}. Remove what is there, or choose a path in a folder of your own.`,
    { cause, data: { path } },
  );
}
