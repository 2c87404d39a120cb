import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { PipeReader } from './pipe-reader.ts';

/** Where a command is run: its arguments, its streams and what a person sees. */
export interface Terminal {
  readonly args: readonly string[];
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** A person looks at stdout. */
  readonly isTty: boolean;
  /** It can show another page, and lines be written over. */
  readonly hasPages: boolean;
  /** Stdin is a terminal. */
  readonly isTyped: boolean;
  /** A person can be asked: on stdin, by stderr. */
  readonly canAsk: boolean;
  readonly hasColor: boolean;
  /** Aborts when nobody reads stdout any more, or when the command is to end. */
  readonly ended: AbortSignal;
  /** Ends the command if whoever read stdout has gone; only Linux tells that before the next write. */
  checkReader(): void;
  size(): { readonly columns: number; readonly rows: number };
  onResize(listener: () => void): () => void;
  /** Listens for single keys; what was typed is not shown. Returns how to stop. */
  onKey(listener: (key: string) => void): () => void;
  /** Hands on to a stream what stdin says, and its end. Returns how to stop. */
  feed(to: Writable): () => void;
  /** Asks on stderr; resolves to what was typed, or to nothing if the input ends. */
  ask(question: string): Promise<string>;
  /** Ends the command with this code as soon as all is written. */
  setExitCode(code: number): void;
  /** Ends it now. */
  end(): void;
}

const FOREGROUND_LOOK_MS = 300;

/** The terminal, pipe or file that this process was started with. */
export function systemTerminal(): Terminal {
  // Not stdin: to open it takes longer than most commands that do without.
  const { stdout, stderr, env } = process;
  const controller = new AbortController();
  const end = (): void => controller.abort();
  // A reader that has gone, as `head` does, is no error; nor is a closed stderr.
  for (const stream of [stdout, stderr]) stream.on('error', end);
  const isTty = stdout.isTTY === true;
  let reader: PipeReader | undefined;
  return {
    args: process.argv.slice(2),
    ...{ stdout, stderr, isTty, end },
    hasPages: isTty && env['TERM'] !== 'dumb',
    isTyped: isatty(0),
    canAsk: isatty(0) && stderr.isTTY === true,
    hasColor: wantsColor(env, isTty),
    ended: controller.signal,
    checkReader: () => {
      reader ??= new PipeReader();
      if (reader.isGone()) end();
    },
    size: () => ({ columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 }),
    onResize(listener) {
      stdout.on('resize', listener);
      return () => stdout.off('resize', listener);
    },
    onKey(listener) {
      const { stdin } = process;
      if (!stdin.isTTY) return () => undefined;
      const onData = (data: Buffer): void => listener(data.toString());
      stdin.setRawMode(true).on('data', onData).resume();
      return () => void stdin.setRawMode(false).off('data', onData).pause();
    },
    feed,
    ask,
    setExitCode(code) {
      process.exitCode = code;
    },
  };
}

/** What stdin says goes to `to`, but while its terminal is somebody else's. */
function feed(to: Writable): () => void {
  const { stdin } = process;
  let again: NodeJS.Timeout | undefined;
  const look = (): void => {
    clearTimeout(again);
    stdin.unpipe(to);
    if (isForeground()) stdin.pipe(to);
    else {
      stdin.pause();
      // No shell says when it takes a job to the front that has not been stopped.
      again = setTimeout(look, FOREGROUND_LOOK_MS).unref();
    }
  };
  look();
  process.on('SIGCONT', look);
  return () => {
    clearTimeout(again);
    process.off('SIGCONT', look);
    stdin.unpipe(to).destroy();
  };
}

async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const { stdin: input, stderr: output } = process;
  const lines = createInterface({ input, output });
  const closed = new Promise<undefined>((resolve) => lines.once('close', () => resolve(undefined)));
  const answer = await Promise.race([lines.question(question).catch(() => undefined), closed]);
  lines.close();
  // Whoever pressed Ctrl-C or Ctrl-D has left the line unfinished.
  if (answer === undefined) output.write('\n');
  return answer ?? '';
}

/** Whoever reads a terminal from its background is stopped, with the whole job. */
function isForeground(): boolean {
  if (!isatty(0) || process.platform !== 'linux') return true;
  const stat = readFileSync('/proc/self/stat', 'latin1');
  // pid (name) state ppid pgrp session tty_nr tpgid …
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return group === foreground;
}

/** https://no-color.org: any value that is not empty. */
function wantsColor(env: NodeJS.ProcessEnv, isTty: boolean): boolean {
  const { NO_COLOR: never, FORCE_COLOR: always } = env;
  if (never || always === '0' || always === 'false') return false;
  if (always) return true;
  return isTty && env['TERM'] !== 'dumb';
}

/** What a shell makes of a program's end. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
}
