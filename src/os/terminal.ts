import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { PipeReader } from './pipe-reader.ts';

/** The terminal, pipe or file that a command runs on. */
export interface Terminal {
  readonly args: readonly string[];
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Stdout is a terminal. */
  readonly isTty: boolean;
  /** The terminal has an alternate screen, and lines can be overwritten. */
  readonly hasPages: boolean;
  /** Stdin is a terminal. */
  readonly isTyped: boolean;
  /** Questions can be asked: stdin and stderr are terminals. */
  readonly canAsk: boolean;
  readonly hasColor: boolean;
  /** Aborts when the reader of stdout is gone, or when the command is to end. */
  readonly ended: AbortSignal;
  /** Ends the command if the reader of stdout is gone; before the next write only Linux tells. */
  checkReader(): void;
  size(): { readonly columns: number; readonly rows: number };
  onResize(listener: () => void): () => void;
  /** Listens for single keys, without echo; returns a function that stops. */
  onKey(listener: (key: string) => void): () => void;
  /** Forwards stdin and its end to a stream; returns a function that stops. */
  feed(to: Writable): () => void;
  /** Asks on stderr; resolves to the answer, or to `''` if the input ends. */
  ask(question: string): Promise<string>;
  /** Sets the exit code that the command has when all output is written. */
  setExitCode(code: number): void;
  /** Ends the command now. */
  end(): void;
}

const FOREGROUND_POLL_MS = 300;

/** The terminal, pipe or file that this process was started with. */
export function systemTerminal(): Terminal {
  // Not stdin: opening it takes longer than most commands that do not need it.
  const { stdout, stderr, env } = process;
  const controller = new AbortController();
  const end = (): void => controller.abort();
  // A reader that exits, such as `head`, is no error; nor is a closed stderr.
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

/** Forwards stdin to `to`, but only while this process is in the terminal's foreground. */
function feed(to: Writable): () => void {
  const { stdin } = process;
  let again: NodeJS.Timeout | undefined;
  const update = (): void => {
    clearTimeout(again);
    stdin.unpipe(to);
    if (isForeground()) stdin.pipe(to);
    else {
      stdin.pause();
      // No shell tells when it moves a running job to the foreground.
      again = setTimeout(update, FOREGROUND_POLL_MS).unref();
    }
  };
  update();
  process.on('SIGCONT', update);
  return () => {
    clearTimeout(again);
    process.off('SIGCONT', update);
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
  // After Ctrl-C or Ctrl-D the line is unfinished.
  if (answer === undefined) output.write('\n');
  return answer ?? '';
}

/** A background process that reads its terminal is stopped, with its whole job. */
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

/** A process's exit code as a shell reports it. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
}
