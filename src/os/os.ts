import type { Clock } from './clock.ts';

export type Platform = 'linux' | 'darwin' | 'win32';

/** One row of the process table. */
export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  /** Process group; 0 where the system has none. */
  readonly pgid: number;
  /** Session; 0 where the system has none, or does not tell. */
  readonly sid: number;
  /** `false` for a zombie: it runs nothing and ignores every signal. */
  readonly alive: boolean;
  /** The kernel's start time in the system's own unit: compared for equality, and ordered by length, then text. */
  readonly startTime: string;
  /** The program's name without its arguments. */
  readonly command: string;
  /** The value of AGENT_SUPERVISOR_COOKIE, where the system shows a process's environment. */
  readonly cookie: string | undefined;
}

/** One look at all processes. */
export type ProcessTable = ReadonlyMap<number, ProcessEntry>;

/** What a launch needs; everything in it reaches the child one to one. */
export interface LaunchRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** A child process as Node hands it out, with why it failed if it has no pid. */
export interface Launched {
  readonly child: import('node:child_process').ChildProcess;
  /** Resolves with the system's error; present only when the child has no pid. */
  readonly failure?: Promise<NodeJS.ErrnoException>;
}

/** What became of a signal; never a proof of death. */
export type SignalResult = 'sent' | 'gone' | 'denied';

/** The process table: how a system tells who is alive. */
export interface Processes {
  /** Takes one look at all processes, in slices that leave the event loop free. */
  look(): Promise<ProcessTable>;
  /** Reads one process now, or `undefined` when it is gone or the system cannot tell without a child process. */
  read(pid: number): Omit<ProcessEntry, 'cookie'> | undefined;
}

/** CPU and memory of one process. */
export interface Usage {
  /** Percent of one core, since the sample before. */
  readonly cpuPercent: number;
  readonly rssBytes: number;
}

/** The operating system: the only way this package launches, signals and reads the time. */
export interface Os {
  readonly platform: Platform;
  readonly clock: Clock;
  readonly processes: Processes;
  /** Whether `read` and the groups can be relied on in the tick of a spawn. */
  readonly self: {
    readonly pid: number;
    readonly startTime: string | undefined;
    readonly bootId: string;
    /** The PID namespace, or '' where the system has none. */
    readonly pidNamespace: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  };
  launch(request: LaunchRequest): Launched;
  signal(pid: number, signal: NodeJS.Signals): SignalResult;
  /** Signals a whole group; the caller has proven it ours. */
  signalGroup(pgid: number, signal: NodeJS.Signals): SignalResult;
  sample(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>>;
}
