import { join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type HeldLock, holdLock } from '../daemon/spawn-lock.ts';
import {
  createSupervisor,
  type ExitReport,
  isSupervisorError,
  type SpawnRequest,
  type Supervisor,
} from '../index.ts';
import { resolveOptions } from '../options.ts';
import { hashName } from '../os/hash.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { exitCodeOf, type Terminal } from '../os/terminal.ts';
import { makePrivateFolder } from '../ownership/files.ts';
import { type Arguments, bytesOf, countOf, durationOf } from './arguments.ts';
import type { Command } from './execute.ts';
import { Refusal } from './refusal.ts';

const KIND = 'command';
const POLL_MS = 100;
/** As timeout(1) has it. */
const TIMED_OUT = 124;
/** What a shell says of a command that it does not find, and of one that it cannot start. */
const NOT_FOUND = 127;
const NOT_STARTED = 126;

export const run: Command = async (args, terminal) => {
  const [command, ...rest] = args.rest;
  if (command === undefined || args.positionals.length > 0)
    throw new Refusal('run takes a command after "--", as in: agent-supervisor run -- make test');
  const request = requestOf(args, command, rest);
  const os = systemOs();
  const { stateDir } = resolveOptions(
    args.stateDir === undefined ? {} : { stateDir: resolve(args.stateDir) },
    os,
  );
  const slot = await takeSlot(args, request.kind ?? KIND, stateDir, os);
  // A person who presses Ctrl-C has waited long enough for an end of stdin.
  await using supervisor = createSupervisor({ stateDir, ladder: { stdinEofMs: 0 } });
  const uninstall = supervisor.handleSignals();
  try {
    // Whoever held the slot before may have died, and left its command alive: this ends it.
    await supervisor.start();
    const report = await supervise(supervisor, request, terminal);
    return tell(report, terminal);
  } finally {
    slot?.release();
    uninstall();
  }
};

function requestOf(args: Arguments, command: string, rest: readonly string[]): SpawnRequest {
  const sessionId = args.text('session');
  const wallClock = durationOf('wall-clock', args.text('wall-clock'), 1);
  if (wallClock !== undefined && sessionId === undefined)
    throw new Refusal('--wall-clock must come with a --session, whose clock it is.');
  return {
    command,
    args: rest,
    sessionId,
    kind: args.text('kind') ?? KIND,
    slot: false,
    maxWallClockMs: wallClock,
    leftovers: args.flag('keep-leftovers') ? 'keep' : 'terminate',
    limits: {
      startupMs: durationOf('startup', args.text('startup'), 1),
      idleMs: durationOf('idle', args.text('idle'), 1),
      lifetimeMs: durationOf('lifetime', args.text('lifetime'), 1),
      memoryBytes: bytesOf('memory', args.text('memory')),
    },
  };
}

/** Runs it to its end between our own streams. */
async function supervise(
  supervisor: Supervisor,
  request: SpawnRequest,
  { stdin, stdout, stderr }: Terminal,
): Promise<ExitReport> {
  const process = supervisor.spawn(request);
  const output = Promise.all([pass(process.stdout, stdout), pass(process.stderr, stderr)]);
  stdin.pipe(process.stdin);
  const report = await process.exited;
  stdin.unpipe(process.stdin);
  stdin.destroy();
  await output;
  return report;
}

/** Hands on what it says; a reader that has gone closes its pipe, as it would in a shell. */
async function pass(from: Readable, to: Writable): Promise<void> {
  await pipeline(from, to, { end: false }).catch(() => from.destroy());
}

/** Says why it was ended, if that was not its own doing; returns the exit code. */
function tell({ cause, code, signal, error }: ExitReport, { stderr }: Terminal): number {
  const say = (text: string): void => void stderr.write(`agent-supervisor: ${text}\n`);
  if (error !== undefined) {
    say(error.message);
    return error.code === 'COMMAND_NOT_FOUND' ? NOT_FOUND : NOT_STARTED;
  }
  switch (cause) {
    case 'startup':
    case 'idle':
    case 'lifetime':
    case 'memory':
    case 'wall-clock':
      say(`the command was ended: ${cause}`);
      return TIMED_OUT;
    case 'reaped':
      say('the command was ended by an operator');
      return exitCodeOf(code, signal);
    default:
      return exitCodeOf(code, signal);
  }
}

/** Waits until fewer than so many of a kind run with this state directory; each holds one lock. */
async function takeSlot(
  args: Arguments,
  kind: string,
  stateDir: string,
  os: Os,
): Promise<HeldLock | undefined> {
  const concurrency = countOf('concurrency', args.text('concurrency'), 1);
  const waitMs = durationOf('wait', args.text('wait'));
  if (concurrency === undefined) return undefined;
  makePrivateFolder(stateDir, os.userId());
  const untilMs = os.clock.monotonicMs() + (waitMs ?? Number.POSITIVE_INFINITY);
  for (;;) {
    for (let slot = 1; slot <= concurrency; slot++) {
      const path = join(stateDir, `slot-${hashName(kind)}-${slot}.lock`);
      const lock = await holdLock(path, { timeoutMs: 0 }, os).catch(ifHeld);
      if (lock !== undefined) return lock;
    }
    if (os.clock.monotonicMs() >= untilMs)
      throw new Refusal(
        `${concurrency} of kind "${kind}" run already; nothing was started. Raise --concurrency or --wait.`,
        75,
      );
    await new Promise<void>((go) => os.clock.after(POLL_MS, go, { keepAlive: true }));
  }
}

function ifHeld(error: unknown): undefined {
  if (!isSupervisorError(error, 'READY_TIMEOUT')) throw error;
}
