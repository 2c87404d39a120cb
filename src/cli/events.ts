import { basename } from 'node:path';
import { publicText } from '../inspect/public-text.ts';
import { safeJson } from '../inspect/safe-json.ts';
import { sleep } from '../os/clock.ts';
import type { HistoryNote } from '../store/formats.ts';
import { HistoryReader, historyFiles } from '../store/history-reader.ts';
import { countOf } from './arguments.ts';
import type { Command } from './command.ts';
import { duration, type Paint, painter } from './paint.ts';
import { plain } from './plain.ts';
import { findRegistry, type Registry } from './registry.ts';

const LINES = 20;
/** Bytes of history that are read for each line to show. A note is rarely as long. */
const NOTE_BYTES = 1024;
const POLL_MS = 200;
/** Around midnight, one host may still write to yesterday's file while another begins today's. */
const CURRENT_FILES = 2;

export const run: Command = async (args, terminal) => {
  const lines = countOf('lines', args.text('lines'), 0) ?? LINES;
  const registry = findRegistry(args);
  const { os } = registry;
  const show = publicText(os);
  const paint = painter(terminal.hasColor);
  const write = (notes: readonly HistoryNote[]): void => {
    for (const note of notes) {
      const shown = { ...note, ...publicParts(note, show) };
      terminal.stdout.write(`${args.json ? safeJson(shown) : line(shown, paint)}\n`);
    }
  };
  const isFollowing = !args.flag('no-follow');
  // Watch the reader before the first write, so that its end is noticed.
  if (isFollowing) terminal.checkReader();
  const follower = new Follower(registry);
  const past = follower.takePast(lines);
  write(lines === 0 ? [] : past.slice(-lines));
  while (isFollowing && !terminal.ended.aborted) {
    write(follower.takeNew());
    terminal.checkReader();
    await sleep(POLL_MS, os.clock, terminal.ended);
  }
  return 0;
};

/** Follows the history of all hosts, from one day's file to the next. */
class Follower {
  readonly #registry: Registry;
  readonly #readers = new Map<string, HistoryReader>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** Returns at least `lines` past notes, if there are as many. `takeNew` continues after them. */
  takePast(lines: number): HistoryNote[] {
    let past: HistoryNote[] = [];
    const files = this.#files();
    for (const [index, path] of files.toReversed().entries()) {
      if (past.length >= lines && index >= CURRENT_FILES) break;
      past = [...this.#read(path, lines * NOTE_BYTES), ...past];
    }
    return past;
  }

  takeNew(): HistoryNote[] {
    const current = this.#files().slice(-CURRENT_FILES);
    return current.flatMap((path) => this.#read(path));
  }

  #read(path: string, tailBytes?: number): HistoryNote[] {
    const { os } = this.#registry;
    const reader = this.#readers.get(path) ?? new HistoryReader(path, os, tailBytes);
    this.#readers.set(path, reader);
    try {
      return reader.readAll();
    } catch {
      // The file was removed for its age, or belongs to another user.
      return [];
    }
  }

  #files(): string[] {
    return historyFiles(this.#registry.stateDir);
  }
}

function publicParts({ kind, command, sessionId }: HistoryNote, show: (text: string) => string) {
  return {
    kind: show(kind),
    ...(command === undefined ? {} : { command: show(command) }),
    ...(sessionId === undefined ? {} : { sessionId: show(sessionId) }),
  };
}

const GOOD: ReadonlySet<unknown> = new Set(['completed', 'terminated', 'reaped', 'shutdown']);

function line(note: HistoryNote, paint: Paint): string {
  const { at, event, id, pid, kind, sessionId, command = '', owner } = note;
  const stamp = new Date(at).toISOString().replace('T', ' ').slice(0, 19);
  const process = plain(`${kind} ${basename(command)}`);
  const who = `${plain(id)}  ${process}${pid === undefined ? '' : ` (pid ${pid})`}`;
  const session = sessionId === undefined ? '' : `  session ${plain(sessionId)}`;
  const start = `${paint('dim', stamp)}  ${plain(owner).slice(0, 8)}  `;
  if (event === 'started') return `${start}${paint('cyan', 'started')}  ${who}${session}`;
  if (event === 'lost')
    return `${start}${paint('yellow', 'lost')}     ${who}${session}: it is gone, and nobody has seen how`;
  return `${start}${paint('magenta', 'ended')}    ${who}${session}: ${endOf(note, paint)}`;
}

function endOf(
  { cause = '', code, signal, forced, durationMs = 0 }: HistoryNote,
  paint: Paint,
): string {
  const how = signal ?? (typeof code === 'number' ? `code ${code}` : 'unseen');
  const style = GOOD.has(cause) ? 'green' : 'red';
  const force = forced ? ', by force' : '';
  return `${paint(style, plain(cause))} (${plain(how)}${force}) after ${duration(durationMs)}`;
}
