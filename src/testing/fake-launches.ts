import type { ChildProcess } from 'node:child_process';
import {
  COOKIE_VARIABLE,
  type Endpoint,
  type LaunchRequest,
  type Os,
  type Probe,
  type ProcessEntry,
  type Processes,
  type ProcessTable,
  type SignalResult,
} from '../os/os.ts';
import { endpointOf } from '../ready/readiness.ts';
import { flag } from './agent-frames.ts';
import type { AgentChild } from './agent-process.ts';
import type { FakeAgent } from './fake-agent.ts';
import type { FakeChild } from './fake-child.ts';
import { type FakeProgram, type ScriptedProcess, startFake } from './fake-program.ts';

/** The fakes that are started in place of real programs. */
export interface Fakes {
  /** Stands in for every process that is launched with stream-json output. */
  readonly agent: FakeAgent | undefined;
  /** Each stands for the command of its name. */
  readonly programs: Readonly<Record<string, FakeProgram>>;
}

interface Running {
  readonly child: FakeChild;
  readonly entry: ProcessEntry;
  /** Absent for an agent, which listens nowhere. */
  readonly process?: ScriptedProcess | undefined;
}

/**
 * A system on which some launches start a fake, and all others are real.
 *
 * A fake is in the process table and takes signals like any other, so that slots, sessions, limits,
 * restarts, readiness, events and the ladder are the real ones; no signal to it ever reaches the system.
 */
export function withFakes(os: Os, fakes: Fakes): Os {
  const running = new Map<number, Running>();
  let hasStartedReal = false;
  const signal = (pid: number, name: NodeJS.Signals, send: Os['signal']): SignalResult => {
    const fake = running.get(pid);
    if (fake === undefined) return send(pid, name);
    return fake.child.kill(name) ? 'sent' : 'gone';
  };
  const holderOf = (endpoint: Endpoint) =>
    [...running.values()].find(({ process }) => process?.listensAt(endpoint))?.entry;
  return {
    ...os,
    launch(request) {
      const fake = startInstead(request, fakes, os.identify().pid);
      if (fake === undefined) {
        hasStartedReal = true;
        return os.launch(request);
      }
      const { child } = fake;
      running.set(child.pid, fake);
      child.once('exit', () => running.delete(child.pid));
      // All of a child that is used of one: streams, pid, 'exit'.
      return { child: child as unknown as ChildProcess };
    },
    signal: (pid, name) => signal(pid, name, os.signal),
    signalGroup: (pgid, name) => signal(pgid, name, os.signalGroup),
    ...(os.endTree && {
      endTree: async (pid: number) => {
        if (!running.get(pid)?.child.kill('SIGKILL')) await os.endTree?.(pid);
      },
    }),
    isOwnUsers: (pid) => running.has(pid) || os.isOwnUsers(pid),
    sample: (pids) => os.sample(pids.filter((pid) => !running.has(pid))),
    ...(os.listeners && {
      async listeners(endpoint: Endpoint, among?: readonly number[]) {
        const holder = holderOf(endpoint);
        return holder === undefined ? os.listeners?.(endpoint, among) : [holder];
      },
    }),
    // While only fakes run, real listeners on this machine are none of the test's.
    probe: probeWith(holderOf, (asked) => hasStartedReal && asked(os.probe)),
    processes: processesWith(running, os.processes),
  };
}

/** Starts the fake that stands for this launch, if there is one. */
function startInstead(
  request: LaunchRequest,
  { agent, programs }: Fakes,
  hostPid: number,
): Running | undefined {
  const { command, args, env } = request;
  const entryOf = ({ pid }: FakeChild, name: string): ProcessEntry => ({
    ...{ pid, ppid: hostPid, pgid: pid, sid: pid, alive: true, startTime: '1' },
    ...{ command: name, cookie: env[COOKIE_VARIABLE] },
  });
  const program = Object.hasOwn(programs, command) ? programs[command] : undefined;
  if (program !== undefined) {
    const process = startFake(program, request);
    return { process, child: process.child, entry: entryOf(process.child, command) };
  }
  if (agent === undefined || flag(args, '--input-format') !== 'stream-json') return undefined;
  const child = agent(request) as AgentChild;
  return { child, entry: entryOf(child, 'fake-agent') };
}

function probeWith(
  holderOf: (endpoint: Endpoint) => ProcessEntry | undefined,
  askSystem: (ask: (probe: Probe) => Promise<boolean>) => false | Promise<boolean>,
): Probe {
  const isHeld = (endpoint: Endpoint | undefined): boolean =>
    endpoint !== undefined && holderOf(endpoint) !== undefined;
  return {
    canConnect: async (endpoint, timeoutMs) =>
      isHeld(endpoint) || askSystem((probe) => probe.canConnect(endpoint, timeoutMs)),
    answersOk: async (url, timeoutMs) =>
      isHeld(endpointOf({ url })) || askSystem((probe) => probe.answersOk(url, timeoutMs)),
  };
}

/** The process table, fakes included. */
function processesWith(running: ReadonlyMap<number, Running>, real: Processes): Processes {
  const { read } = real;
  return {
    async snapshot(): Promise<ProcessTable> {
      const table = await real.snapshot();
      const fakes = [...running.values()].filter(({ child }) => !child.isOver);
      const entries = [...table, ...fakes.map(({ entry }) => [entry.pid, entry] as const)];
      return Object.assign(new Map(entries), { supply: table.supply });
    },
    ...(read && {
      read(pid: number) {
        const fake = running.get(pid);
        if (fake === undefined) return read(pid);
        return fake.child.isOver ? undefined : fake.entry;
      },
    }),
  };
}
