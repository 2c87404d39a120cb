import { readFileSync, rmSync } from 'node:fs';
import { boundPath } from '../os/liveness-socket.ts';
import type { Os } from '../os/os.ts';
import { HEARTBEAT_ID } from '../tree/identity.ts';
import { createExclusive, takeIf } from './exclusive.ts';
import { assertReplaceable, readOwnFile, replaceFile } from './files.ts';
import { givenUpPath, heartbeatPath, heartbeatSocket } from './layout.ts';

/** The number of the format of heartbeat files; a reader acts on its own number only. */
const HEARTBEAT_VERSION = 1;

/** The content of a heartbeat's file. */
export interface HeartbeatContent {
  /** Changes with each beat. */
  readonly beats: number;
  /** The socket that its owner listens on; `undefined` where none could be made. */
  readonly socket?: string | undefined;
  /**
   * Time for which the socket must refuse before the owner's processes are dead, in ms.
   *
   * These are all that the owner's guardian ends. 0 if the guardian holds the socket as well.
   */
  readonly graceMs: number;
}

export function newHeartbeatId(): string {
  return crypto.randomUUID().replaceAll('-', '').slice(0, 12);
}

/** More than the longest content takes. */
const TEXT_LENGTH = 160;

/** The text of a heartbeat's file, always as long: it is written over the one before. */
export function heartbeatText(content: HeartbeatContent): string {
  return `${JSON.stringify({ version: HEARTBEAT_VERSION, ...content }).padEnd(TEXT_LENGTH)}\n`;
}

/** Reads what a heartbeat's file says; `undefined` for anything this format does not know. */
export function parseHeartbeat(text: string): HeartbeatContent | undefined {
  try {
    const { version, beats, socket, graceMs } = JSON.parse(text) as Record<string, unknown>;
    const isOurs = version === HEARTBEAT_VERSION && Number.isFinite(beats);
    if (!isOurs || !(Number.isFinite(graceMs) && Number(graceMs) >= 0)) return undefined;
    const known = typeof socket === 'string' ? socket : undefined;
    return { beats: Number(beats), socket: known, graceMs: Number(graceMs) };
  } catch {
    return undefined;
  }
}

/** The text of a heartbeat's file, if nobody else can have written it; `undefined` where there is none. */
export function readHeartbeat(
  folder: string,
  id: string,
  os: Pick<Os, 'userId'>,
): string | undefined {
  try {
    return readOwnFile(heartbeatPath(folder, id), os);
  } catch {
    return undefined;
  }
}

export function isGivenUp(folder: string, id: string, os: Pick<Os, 'userId'>): boolean {
  try {
    readOwnFile(givenUpPath(folder, id), os);
    return true;
  } catch {
    return false;
  }
}

/**
 * Gives a heartbeat up that has said `text` for too long; `false` if it has changed since. From then on
 * its owner knows, whenever it wakes, that it was taken for dead.
 */
export function giveUp(
  folder: string,
  id: string,
  text: string | undefined,
  os: Pick<Os, 'userId'>,
): boolean {
  const [path, marker] = [heartbeatPath(folder, id), givenUpPath(folder, id)];
  if (isGivenUp(folder, id, os)) return true;
  try {
    if (text === undefined)
      return createExclusive(marker, heartbeatText(NONE), crypto.randomUUID());
    // It may beat in this very moment.
    if (takeIf(path, marker, (each) => readFileSync(each, 'utf8') === text)) return true;
  } catch {
    // Another host was faster.
  }
  return isGivenUp(folder, id, os);
}

const NONE: HeartbeatContent = { beats: 0, graceMs: 0 };

/** Writes a new heartbeat's file; throws where something stands in its place that is none of ours. */
export function createHeartbeat(
  folder: string,
  id: string,
  content: HeartbeatContent,
  os: Pick<Os, 'userId'>,
): void {
  const path = heartbeatPath(folder, id);
  assertReplaceable(path, os.userId());
  replaceFile(path, heartbeatText(content));
}

/**
 * Removes the files of a dead owner's heartbeat.
 *
 * The mark that it was given up stays, for its owner to see.
 */
export function removeHeartbeat(folder: string, id: string | undefined): void {
  if (id === undefined || !HEARTBEAT_ID.test(id)) return;
  const socket = heartbeatSocket(folder, id);
  // It may have died before the socket had its name.
  for (const path of [heartbeatPath(folder, id), socket, boundPath(socket)])
    rmSync(path, { force: true });
}
