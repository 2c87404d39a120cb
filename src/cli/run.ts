import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { safeJson } from '../doctor/safe-json.ts';
import { createSupervisor, type ExitReport, type SpawnRequest, type Supervisor } from '../index.ts';
import { exitCodeOf, type Terminal } from '../os/terminal.ts';
import { type Arguments, bytesOf, countOf, durationOf } from './arguments.ts';
import type { Command } from './execute.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { readOptions } from './registry.ts';
import { awaitDeath, type SlotWish, takeSlot } from './slot.ts';

const KIND = 'command';
/** It is one process alone that is measured: more often than a host does. */
const SAMPLING_MS = 1000;
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
  const wish = slotWishOf(args);
  const { os, options } = readOptions(args);
  const { stateDir, ladder } = options;
  const registry = { os, stateDir, options, exists: true };
  const say = (text: string): void => void terminal.stderr.write(`agent-supervisor: ${text}\n`);
  const slot = wish && (await takeSlot(wish, registry, say));
  try {
    await using supervisor = createSupervisor({
      stateDir,
      ladder,
      sampling: { intervalMs: SAMPLING_MS },
    });
    const uninstall = supervisor.handleSignals();
    try {
      await supervisor.start();
      if (wish !== undefined) await awaitDeath(wish, registry);
      const report = await supervise(supervisor, request, terminal);
      const code = tell(report, args.json ? () => undefined : say);
      if (args.json) terminal.stderr.write(`${safeJson(summaryOf(report, code))}\n`);
      return code;
    } finally {
      uninstall();
    }
  } finally {
    slot?.release();
  }
};

function slotWishOf(args: Arguments): SlotWish | undefined {
  const concurrency = countOf('concurrency', args.text('concurrency'), 1);
  const waitMs = durationOf('wait', args.text('wait'));
  if (concurrency === undefined && waitMs === undefined) return undefined;
  if (concurrency === undefined)
    throw new Refusal('--wait must come with a --concurrency, for which it waits.');
  return { concurrency, waitMs, kind: args.text('kind') ?? KIND };
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
  { feed, stdout, stderr }: Terminal,
): Promise<ExitReport> {
  const process = supervisor.spawn(request);
  const output = Promise.all([pass(process.stdout, stdout), pass(process.stderr, stderr)]);
  const stopFeeding = feed(process.stdin);
  const report = await process.exited;
  stopFeeding();
  await output;
  return report;
}

/** How it ended, without what it has said: that has been passed on. */
function summaryOf({ error, stderrTail: _, ...report }: ExitReport, exitCode: number) {
  const why = error === undefined ? null : { code: error.code, message: error.message };
  return { ...report, error: why, exitCode };
}

/** Hands on what it says; a reader that has gone closes its pipe, as it would in a shell. */
async function pass(from: Readable, to: Writable): Promise<void> {
  await pipeline(from, to, { end: false }).catch(() => from.destroy());
}

/** Says why it was ended, if that was not its own doing; returns the exit code. */
function tell({ cause, code, signal, error }: ExitReport, say: (text: string) => void): number {
  if (error !== undefined) {
    say(plain(error.message));
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
