import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  createSupervisor,
  type ExitReport,
  type SpawnRequest,
  type Supervisor,
  type SupervisorError,
} from '../index.ts';
import { safeJson } from '../inspect/safe-json.ts';
import { exitCodeOf, type Terminal } from '../os/terminal.ts';
import { type Arguments, bytesOf, countOf, durationOf } from './arguments.ts';
import type { Command } from './command.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { Registry } from './registry.ts';
import type { SlotOptions } from './slot.ts';

const KIND = 'command';
/** More often than in a host, since only one process is measured. */
const SAMPLING_MS = 1000;
/** As for timeout(1). */
const TIMED_OUT = 124;
/** A shell's exit codes for a command that it does not find, and for one that it cannot start. */
const NOT_FOUND = 127;
const NOT_STARTED = 126;
/** As for env(1) and timeout(1), where the command is not at fault. */
const REFUSED = 125;
/** Errors of a system with no room for any process, where the command is not at fault. */
const NO_ROOM: ReadonlySet<string> = new Set(['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE']);

export const run: Command = async (args, terminal) => {
  const [command, ...rest] = args.rest;
  if (command === undefined || args.positionals.length > 0)
    throw new Refusal('run takes a command after "--", as in: agent-supervisor run -- make test');
  const request = requestOf(args, command, rest);
  if (args.flag('detached')) return await letGo(args, request, terminal);
  const slotOptions = slotOptionsOf(args);
  const { stateDir, ladder, os } = new Registry(args);
  const say = (text: string): void => void terminal.stderr.write(`agent-supervisor: ${text}\n`);
  // Loaded only for the few runs that wait for a slot.
  const slots = slotOptions && (await import('./slot.ts'));
  const options = { stateDir, ladder, sampling: { intervalMs: SAMPLING_MS } };
  await using supervisor =
    slots === undefined || slotOptions === undefined
      ? createSupervisor(options)
      : createSupervisor(
          { ...options, pool: slots.poolOf(slotOptions) },
          os,
          slots.joinOf(slotOptions),
        );
  supervisor.on('warning', ({ message }) => say(plain(message)));
  const uninstall = supervisor.handleSignals();
  try {
    await supervisor.start();
    const lease = slotOptions && (await slots?.takeSlot(slotOptions, supervisor, say));
    const report = await supervise(lease ?? supervisor, request, terminal);
    const code = tell(report, args.json ? () => undefined : say);
    if (args.json) terminal.stderr.write(`${safeJson(summaryOf(report, code))}\n`);
    return code;
  } finally {
    uninstall();
  }
};

/** Options that bound a run, and have no effect on a detached one. */
const BOUNDS = [
  ...['concurrency', 'wait', 'lifetime', 'startup', 'idle', 'memory', 'wall-clock'],
  ...['grace', 'keep-leftovers'],
] as const;

/** Starts the command so that no supervisor ends it, not even one above this process, and returns at once. */
async function letGo(
  args: Arguments,
  { command, args: rest, kind, sessionId }: SpawnRequest,
  { stdout, stderr }: Terminal,
): Promise<number> {
  const bound = BOUNDS.find((name) => args.flag(name) || args.text(name) !== undefined);
  if (bound !== undefined)
    throw new Refusal(`--detached lets the command live on for good; leave out --${bound}.`);
  const { stateDir } = new Registry(args);
  await using supervisor = createSupervisor({ stateDir, guardian: false });
  await supervisor.start();
  const request = { command, args: rest, kind, sessionId, slot: false, outlivesHost: true };
  const process = supervisor.spawn(request);
  try {
    await process.started;
  } catch (error) {
    stderr.write(`agent-supervisor: ${plain((error as SupervisorError).message)}\n`);
    return codeOf(error as SupervisorError);
  }
  const { id, pid } = process;
  stdout.write(args.json ? `${JSON.stringify({ id, pid })}\n` : `${pid}\n`);
  return 0;
}

/**
 * Chooses the exit code of a command that was not started. It is a shell's code if the command is at fault,
 * else 125.
 */
function codeOf({ code, cause }: SupervisorError): number {
  if (code === 'COMMAND_NOT_FOUND') return NOT_FOUND;
  const refusal = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  return code === 'SPAWN_FAILED' && !NO_ROOM.has(refusal) ? NOT_STARTED : REFUSED;
}

function slotOptionsOf(args: Arguments): SlotOptions | undefined {
  const concurrency = countOf('concurrency', args.text('concurrency'), 1);
  const waitMs = durationOf('wait', args.text('wait'));
  if (concurrency === undefined && waitMs === undefined) return undefined;
  if (concurrency === undefined)
    throw new Refusal('--wait must come with a --concurrency, for which it waits.');
  return { concurrency, waitMs, kind: args.text('kind') };
}

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
    // With a limit it runs on the slot that it has waited for.
    slot: args.text('concurrency') !== undefined,
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

/**
 * Runs the command to its end on our own streams. The command can thus open them by name (`/dev/stdout`),
 * which fails for Node's pipes, since those are sockets. Typed input is passed on by us, because a
 * background process may not read the terminal. Output is passed on by us where a limit has to see it.
 */
async function supervise(
  supervisor: Pick<Supervisor, 'spawn'>,
  request: SpawnRequest,
  { feed, isTyped, stdout, stderr }: Terminal,
): Promise<ExitReport> {
  const { startupMs, idleMs } = request.limits ?? {};
  const output = startupMs === undefined && idleMs === undefined ? 'inherit' : 'pipe';
  const process = supervisor.spawn({
    ...request,
    ...{ stdin: isTyped ? 'pipe' : 'inherit', stdout: output, stderr: output },
  });
  const passed = Promise.all([pass(process.stdout, stdout), pass(process.stderr, stderr)]);
  const stopFeeding = isTyped ? feed(process.stdin) : () => undefined;
  const report = await process.exited;
  stopFeeding();
  await passed;
  return report;
}

/** Makes the summary of a run, without its stderr, which has been passed on. */
function summaryOf({ error, stderrTail: _, ...report }: ExitReport, exitCode: number) {
  const why = error === undefined ? null : { code: error.code, message: error.message };
  return { ...report, error: why, exitCode };
}

/** Passes on the command's output. If our reader has gone, the command's pipe is closed, as in a shell. */
async function pass(from: Readable, to: Writable): Promise<void> {
  await pipeline(from, to, { end: false }).catch(() => from.destroy());
}

/** Prints why the command was ended, if it did not exit by itself; returns the exit code. */
function tell(
  { cause, code, signal, error, oomKilled }: ExitReport,
  say: (text: string) => void,
): number {
  if (error !== undefined) {
    say(plain(error.message));
    return codeOf(error);
  }
  if (oomKilled) {
    say('the command was killed by the kernel: out of memory');
    return exitCodeOf(code, signal);
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
