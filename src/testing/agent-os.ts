import type { ChildProcess } from 'node:child_process';
import { COOKIE_VARIABLE, type Os, type ProcessEntry, type SignalResult } from '../os/os.ts';
import { flag } from './agent-frames.ts';
import type { FakeAgentProcess } from './agent-process.ts';
import type { FakeAgent } from './fake-agent.ts';

interface Running {
  readonly process: FakeAgentProcess;
  readonly entry: ProcessEntry;
}

/**
 * Wraps an `Os` so that a command with stream-json input starts a fake agent.
 *
 * The fake agent is in the process table and takes signals, so slots, sessions, limits, events and the
 * ladder work as with a real one. Its signals never reach the system. Other commands start for real.
 */
export function withAgent(os: Os, agent: FakeAgent): Os {
  const running = new Map<number, Running>();
  const signal = (pid: number, name: NodeJS.Signals, send: Os['signal']): SignalResult => {
    const fake = running.get(pid);
    if (fake === undefined) return send(pid, name);
    return fake.process.kill(name) ? 'sent' : 'gone';
  };
  const { read } = os.processes;
  return {
    ...os,
    launch(request) {
      if (flag(request.args, '--input-format') !== 'stream-json') return os.launch(request);
      const process = agent(request);
      const { pid } = process;
      const cookie = request.env[COOKIE_VARIABLE];
      const group = { ppid: os.identify().pid, pgid: pid, sid: pid };
      const entry = { pid, ...group, alive: true, startTime: '1', command: 'fake-agent', cookie };
      running.set(pid, { process, entry });
      process.once('exit', () => running.delete(pid));
      // It has all parts of a ChildProcess that the supervisor uses: streams, pid and 'exit'.
      return { child: process as unknown as ChildProcess };
    },
    signal: (pid, name) => signal(pid, name, os.signal),
    signalGroup: (pgid, name) => signal(pgid, name, os.signalGroup),
    ...(os.endTree && {
      endTree: async (pid: number) => {
        if (!running.get(pid)?.process.kill('SIGKILL')) await os.endTree?.(pid);
      },
    }),
    isOwnUsers: (pid) => running.has(pid) || os.isOwnUsers(pid),
    sample: (pids) => os.sample(pids.filter((pid) => !running.has(pid))),
    processes: {
      async snapshot() {
        const table = new Map(await os.processes.snapshot());
        for (const [pid, { process, entry }] of running) if (!process.isOver) table.set(pid, entry);
        return table;
      },
      ...(read && {
        read(pid: number) {
          const fake = running.get(pid);
          if (fake === undefined) return read(pid);
          return fake.process.isOver ? undefined : fake.entry;
        },
      }),
    },
  };
}
