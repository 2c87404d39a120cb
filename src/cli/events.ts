import { basename } from 'node:path';
import { publicText } from '../doctor/public-text.ts';
import type { Os } from '../os/os.ts';
import type { Terminal } from '../os/terminal.ts';
import { HistoryReader, historyFiles, recentNotes } from '../ownership/history-reader.ts';
import type { HistoryNote } from '../ownership/record.ts';
import { countOf } from './arguments.ts';
import type { Command } from './execute.ts';
import { duration, type Paint, painter, plain } from './paint.ts';
import { findRegistry, type Registry } from './registry.ts';

const LINES = 20;
/** How much of the past is read to find them. */
const PAST_BYTES = 1024 * 1024;
const POLL_MS = 200;

export const run: Command = async (args, terminal) => {
  const lines = countOf('lines', args.text('lines'), 0) ?? LINES;
  const registry = findRegistry(args);
  const { os } = registry;
  const show = publicText(os);
  const paint = painter(terminal.hasColor);
  const write = (notes: readonly HistoryNote[]): void => {
    for (const note of notes) {
      const shown = { ...note, ...publicParts(note, show) };
      terminal.stdout.write(`${args.json ? JSON.stringify(shown) : line(shown, paint)}\n`);
    }
  };
  // Opened before the past is read: what comes meanwhile is in one of them.
  const follower = new Follower(registry);
  const past = follower.takePast();
  write(lines === 0 ? [] : past.slice(-lines));
  if (args.flag('no-follow')) return 0;
  while (!terminal.ended.aborted) {
    write(follower.takeNew());
    await pause(POLL_MS, os, terminal);
  }
  return 0;
};

/** Reads what all hosts write, from one day's file to the next. */
class Follower {
  readonly #registry: Registry;
  readonly #readers = new Map<string, HistoryReader>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** The past, and where the present begins. */
  takePast(): HistoryNote[] {
    const { os, stateDir } = this.#registry;
    const files = this.#files();
    const last = files.at(-1);
    for (const path of files)
      if (path !== last) this.#readers.set(path, new HistoryReader(path, os, 0));
    if (last === undefined) return [];
    const reader = new HistoryReader(last, os, PAST_BYTES);
    this.#readers.set(last, reader);
    const today = readAll(reader);
    const before = today.length >= LINES ? [] : recentNotes(stateDir, os, PAST_BYTES);
    return [
      ...before.filter(({ at }) => at < (today[0]?.at ?? Number.POSITIVE_INFINITY)),
      ...today,
    ];
  }

  takeNew(): HistoryNote[] {
    return this.#files().flatMap((path) => {
      const reader = this.#readers.get(path) ?? new HistoryReader(path, this.#registry.os);
      this.#readers.set(path, reader);
      return readAll(reader);
    });
  }

  /** Only the newest two: a host may still write yesterday's while another begins today's. */
  #files(): string[] {
    try {
      return historyFiles(this.#registry.stateDir).slice(-2);
    } catch {
      // It has been removed, or there is none yet.
      return [];
    }
  }
}

function readAll(reader: HistoryReader): HistoryNote[] {
  const notes: HistoryNote[] = [];
  for (;;) {
    const before = reader.bytes;
    try {
      notes.push(...reader.read());
    } catch {
      return notes;
    }
    if (reader.bytes === before) return notes;
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
  const what = plain(basename(command));
  const who = `${id}  ${plain(kind)} ${what}${pid === undefined ? '' : ` (pid ${pid})`}`;
  const session = sessionId === undefined ? '' : `  session ${plain(sessionId)}`;
  const start = `${paint('dim', stamp)}  ${owner.slice(0, 8)}  `;
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
  return `${paint(style, cause)} (${how}${forced ? ', by force' : ''}) after ${duration(durationMs)}`;
}

function pause(ms: number, os: Os, { ended }: Terminal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = os.clock.after(ms, resolve, { keepAlive: true });
    ended.addEventListener('abort', () => {
      cancel();
      resolve();
    });
  });
}
