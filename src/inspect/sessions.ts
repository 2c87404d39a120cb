import { closeSync, lstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { SessionInfo } from '../index.ts';
import { sliced } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import { Sessions } from '../policy/session.ts';
import { namesIn } from '../store/files.ts';
import { parseJson, parseSessionLine } from '../store/formats.ts';
import { SessionFiles } from '../store/session-file.ts';
import type { ResolvedOptions } from '../supervisor/internals.ts';
import type { PublicText } from './public-text.ts';
import type { SessionHealth } from './report.ts';

const FILE = /^session-[\da-f]{32}\.jsonl$/;
/** More than the longest line takes. */
const MAX_LINE_BYTES = 8192;
/** So many that have no process are shown, those that were seen last. */
const MAX_RESTING = 20;

/** @internal */
export interface SessionsContext {
  readonly os: Os;
  readonly stateDir: string;
  readonly bootId: string;
  readonly options: ResolvedOptions['session'];
  /** How many live processes each session has, of all hosts. */
  readonly live: ReadonlyMap<string, number>;
  readonly publicText: PublicText;
}

/** @internal The sessions with a process, and those that were seen last; each by its own id. */
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

/** The files as a supervisor reads them; nothing here creates a session or watches its clock. */
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

/** The ids of the sessions whose files were written last. */
async function lastSeen(stateDir: string, rest: ReturnType<typeof sliced>): Promise<string[]> {
  const seen: { path: string; mtimeMs: number }[] = [];
  for (const name of namesIn(stateDir).filter((name) => FILE.test(name))) {
    await rest();
    const path = join(stateDir, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile()) seen.push({ path, mtimeMs: stat.mtimeMs });
  }
  const latest = seen.sort((a, b) => b.mtimeMs - a.mtimeMs).slice(0, 2 * MAX_RESTING);
  return latest.flatMap(({ path }) => idIn(path) ?? []);
}

function idIn(path: string): string | undefined {
  const head = Buffer.alloc(MAX_LINE_BYTES);
  try {
    const fd = openSync(path, 'r');
    try {
      const [first = ''] = head.toString('utf8', 0, readSync(fd, head)).split('\n', 1);
      return parseSessionLine(parseJson(first))?.session;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
