import { lstatSync } from 'node:fs';
import type { SessionInfo } from '../index.ts';
import { sliced } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import { Sessions } from '../policy/session.ts';
import { filesIn } from '../store/files.ts';
import { parseSessionLine } from '../store/formats.ts';
import { readFirstLine } from '../store/jsonl.ts';
import { SessionFiles } from '../store/session-file.ts';
import type { ResolvedOptions } from '../supervisor/internals.ts';
import type { PublicText } from './public-text.ts';
import type { SessionHealth } from './report.ts';

/** More than the longest line takes. */
const MAX_LINE_BYTES = 8192;
/** Most sessions without a process in a report; those seen last are shown. */
const MAX_RESTING = 20;

/** @internal */
export interface SessionsContext {
  readonly os: Os;
  readonly stateDir: string;
  readonly bootId: string;
  readonly options: ResolvedOptions['session'];
  /** Number of live processes of each session, of all hosts. */
  readonly live: ReadonlyMap<string, number>;
  readonly publicText: PublicText;
}

/** @internal Finds the sessions with a live process, and those seen last, by their raw ids. */
export async function sessionsHealth(
  context: SessionsContext,
): Promise<ReadonlyMap<string, SessionHealth>> {
  const { os, stateDir, live, publicText } = context;
  const rest = sliced(os.clock);
  const sessions = readOnly(context);
  const resting = (await lastSeen(stateDir, rest))
    .filter((id) => !live.has(id))
    .slice(0, MAX_RESTING);
  const found = new Map<string, SessionHealth>();
  for (const id of [...live.keys(), ...resting]) {
    const info = sessions.describe(id);
    if (info !== undefined) found.set(id, healthOf(info, live.get(id) ?? 0, publicText));
    await rest();
  }
  return found;
}

/** Sessions that are only read: nothing is created, and no expiry is watched. */
function readOnly({ os, stateDir, bootId, options }: SessionsContext): Sessions {
  const files = new SessionFiles({
    os,
    stateDir: () => stateDir,
    bootId: () => bootId,
    warn: () => undefined,
  });
  return new Sessions({
    clock: os.clock,
    emit: () => undefined,
    options,
    open: (id) => files.open(id, false),
    live: () => 0,
    expired: () => undefined,
  });
}

function healthOf(info: SessionInfo, live: number, publicText: PublicText): SessionHealth {
  const { id, createdAt, ageMs, maxWallClockMs, expired, processes, lastEnd, spent } = info;
  return {
    id: publicText(id),
    createdAt,
    ageMs,
    maxWallClockMs,
    leftMs: maxWallClockMs === null ? null : Math.max(0, maxWallClockMs - ageMs),
    expired,
    started: processes,
    live,
    lastEnd: lastEnd ?? null,
    spentUsd: spent.usd,
    spentTokens: spent.tokens,
  };
}

/** Finds the ids of the sessions whose files were written last. */
async function lastSeen(stateDir: string, rest: ReturnType<typeof sliced>): Promise<string[]> {
  const seen: { path: string; mtimeMs: number }[] = [];
  for (const { path } of filesIn(stateDir, 'session')) {
    await rest();
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile()) seen.push({ path, mtimeMs: stat.mtimeMs });
  }
  const latest = seen.sort((a, b) => b.mtimeMs - a.mtimeMs).slice(0, 2 * MAX_RESTING);
  return latest.flatMap(({ path }) => idIn(path) ?? []);
}

function idIn(path: string): string | undefined {
  try {
    return parseSessionLine(readFirstLine(path, MAX_LINE_BYTES))?.session;
  } catch {
    return undefined;
  }
}
