import type { ChildProcess } from 'node:child_process';
import type { Clock } from './clock.ts';
import type { LivenessSocket } from './liveness-socket.ts';
import type { StateFallback } from './state-home.ts';

/** The environment variable that marks every descendant of a supervised process. */
export const COOKIE_VARIABLE = 'AGENT_SUPERVISOR_COOKIE';

export type Platform = 'linux' | 'darwin' | 'win32';

/** What one process tells of itself without its environment and its limits. */
export type BareProcess = Omit<ProcessEntry, 'cookie' | 'tags'>;

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
  /** The kernel's start time in the system's own unit: compared for equality, and ordered by length, then text; `''` if it cannot be told. */
  readonly startTime: string;
  /** The program's name without its arguments. */
  readonly command: string;
  /** The value of AGENT_SUPERVISOR_COOKIE, where the system shows a process's environment. */
  readonly cookie: string | undefined;
  /** The values of its hard limits that can be tags (tree/rlimit-tag.ts); absent where there are none (macOS, Windows). */
  readonly tags?: readonly string[];
}

/** A resource limit without effect, which can tell whose a process is (Linux). */
export type TagLimit = 'locks' | 'rss' | 'rttime';

/** Hard limits: `unlimited`, or a decimal number that JavaScript's own numbers may not hold. */
export type Rlimits = Readonly<Partial<Record<TagLimit, string>>>;

/** How this system hands down resource limits. */
export interface RlimitSystem {
  /** The host's own limits, as they are now. */
  own(): Rlimits;
  /**
   * Launches a program with a limit and reads it back, once for each limit; resolves to
   * `undefined` if it holds, else to the reason.
   */
  probe(limit: TagLimit, value: string): Promise<string | undefined>;
}

/** How the kernel gives out numbers to processes, at one moment and in this host's PID namespace. */
export interface PidSupply {
  /** Successful forks since boot, of all namespaces: at least as many as here. */
  readonly forks: number;
  /** The number that was given out last. */
  readonly last: number;
  /** All numbers are below this. */
  readonly max: number;
  /** Live tasks of the whole machine, threads included. */
  readonly tasks: number;
}

/** One look at all processes. */
export type ProcessTable = ReadonlyMap<number, ProcessEntry> & {
  /** Read just before the look and just after it; absent where the system does not tell. */
  readonly supply?: { readonly before: PidSupply; readonly after: PidSupply } | undefined;
};

/** Where an output goes: to a reader in the host, nowhere, where the host's own goes, or into a file. */
export type OutputTarget =
  | 'pipe'
  | 'ignore'
  | 'inherit'
  | {
      /** A path, seen from the host's own folder. */
      readonly file: string;
      /** Adds to the file instead of emptying it first. @default false */
      readonly append?: boolean | undefined;
    };

/** What a launch needs; everything in it reaches the child one to one. */
export interface LaunchRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Gives it no streams that would break at the host's death, and keeps no host alive for it. */
  readonly outlivesHost?: boolean;
  /** Default: a pipe; for what outlives its host, nowhere. */
  readonly stdin?: 'pipe' | 'ignore' | 'inherit' | undefined;
  /** A number is an open file. Default: as for stdin. */
  readonly stdout?: OutputTarget | number | undefined;
  readonly stderr?: OutputTarget | number | undefined;
  /** Soft and hard limits that it gets, and hands down to all that it starts. */
  readonly rlimits?: Rlimits | undefined;
}

/** Why there is no child: what to tell the caller, and the system's own error. */
export interface LaunchFailure {
  readonly code: 'COMMAND_NOT_FOUND' | 'CWD_NOT_FOUND' | 'SPAWN_FAILED';
  readonly message: string;
  readonly cause: unknown;
}

/** A running child as Node hands it out, or why there is none. */
export type Launched =
  | {
      readonly child: ChildProcess;
      /** Why the program was never run, though its process was: told by its end and its stderr. */
      readonly unrun?:
        | ((code: number | null, stderr: string) => LaunchFailure | undefined)
        | undefined;
      readonly failure?: never;
    }
  | { readonly failure: Promise<LaunchFailure>; readonly child?: never };

/** What became of a signal; never a proof of death. */
export type SignalResult = 'sent' | 'gone' | 'denied';

/** The process table: how a system tells who is alive. */
export interface Processes {
  /** Takes one look at all processes, in slices that leave the event loop free; rejects rather than show half of them. */
  look(): Promise<ProcessTable>;
  /** Reads one process now, `undefined` when it is gone; throws when that cannot be told; absent where it would cost a child process. */
  readonly read?: (pid: number) => BareProcess | undefined;
}

/** CPU and memory of one process. */
export interface Usage {
  /** Percent of one core, since the sample before. */
  readonly cpuPercent: number;
  /** User and system time since its start; that of its children is not in it. */
  readonly cpuTimeMs: number;
  readonly rssBytes: number;
}

/** What tells this host from every other process, on this machine and on others that share a folder. */
export interface SelfIdentity {
  /** The machine's name: tells a reboot from another machine on the same network folder. */
  readonly machine: string;
  readonly pid: number;
  /** `undefined` where the system cannot tell without a child process. */
  readonly startTime: string | undefined;
  /** `''` where the system cannot tell without a child process. */
  readonly bootId: string;
  /** The PID namespace; `''` where the system has none. */
  readonly pidNamespace: string;
}

/** Where a process listens: a TCP port, by default of this machine's loopback addresses, or a socket of the file system (`\0name` for an abstract one). */
export type Endpoint =
  | { readonly port: number; readonly host?: string | undefined }
  | { readonly socket: string };

/** Who holds a socket that takes connections. */
export interface Listener {
  /** `undefined` where the system does not show it: another user's process, or none of those that were asked for. */
  readonly pid: number | undefined;
  /** The program's name; `''` without a pid. */
  readonly command: string;
  /** Whose the socket is, where the system tells. */
  readonly uid?: number | undefined;
}

/** Whether anybody answers in a place. */
export interface Probe {
  /** Tells whether somebody takes connections there; never rejects. */
  canConnect(endpoint: Endpoint, timeoutMs: number): Promise<boolean>;
  /** Tells whether a GET of this address is answered with 2xx; never rejects. */
  answersOk(url: string, timeoutMs: number): Promise<boolean>;
}

/** What a guardian has to know before it hears of any process. */
export interface GuardRequest {
  /** The owner's instance, which names it in the cookies of all it starts. */
  readonly owner: string;
  /** The owner's digits in the tags of all it starts; `undefined` without tags. */
  readonly tag?: string | undefined;
  readonly politeMs: number;
  readonly forcedMs: number;
  /** A descriptor that it is to hold as long as it lives, where it can. */
  readonly hold?: number | undefined;
}

/** How often a host shows that it lives, and when others give it up that cannot look up its process. */
export interface HeartbeatTimes {
  /** From one beat to the next, while anything is running or locked. */
  readonly beatMs: number;
  /** Unchanged for so long of an observer's monotonic clock, a heartbeat is given up. */
  readonly giveUpMs: number;
  /** From one look at others' heartbeats to the next. */
  readonly lookMs: number;
}

/** A socket that refuses connections once its owner is dead, seen from every PID namespace of one kernel. */
export interface Liveness {
  /** Listens at a path; `undefined` where no socket can be made. */
  listen(path: string): LivenessSocket | undefined;
  /** Tells a socket from every other one; `undefined` where there is none. */
  key(path: string): string | undefined;
  /** Asks whoever listens there: `refused` if nobody of this kernel does any more. */
  ask(path: string): Promise<'alive' | 'refused' | 'silent'>;
}

/** A running guardian. */
export interface Guard {
  /** `undefined` until it guards. */
  readonly pid: number | undefined;
  /** Resolves when it guards; rejects if it never will. */
  readonly ready: Promise<void>;
  write(line: string): void;
  onExit(listener: () => void): void;
  /** Whether somebody has stopped it (SIGSTOP); absent where the system does not tell. */
  isStopped?(): boolean;
}

/** The operating system: the only way this package launches, signals and reads the time. */
export interface Os {
  readonly platform: Platform;
  readonly clock: Clock;
  readonly processes: Processes;
  identify(): SelfIdentity;
  /** Looks up all of it; absent where `identify` tells all. */
  readonly identifyAsync?: () => Promise<SelfIdentity>;
  /** The host's environment as it is now. */
  environment(): Readonly<Record<string, string | undefined>>;
  /** The Electron program that this host is; absent elsewhere. */
  readonly electronPath?: string | undefined;
  /** The host's user id; `undefined` where the system has none. */
  userId(): number | undefined;
  /** Whether a process runs as the host's own user; root may signal others', and they are not its own. */
  isOwnUsers(pid: number): boolean;
  /** The platform's per-user folder for state that outlives a process. */
  stateHome(): string;
  /** A private folder of this name for a user whose home cannot be written, and why; `undefined` where it can. */
  stateFallback?(name: string): StateFallback | undefined;
  /** Loads what `launch` needs, and never rejects; `undefined` where that is there already. */
  readonly prepareLaunch?: () => Promise<void> | undefined;
  /** Starts a process in its own group and session (POSIX), without a console (Windows). */
  launch(request: LaunchRequest): Launched;
  signal(pid: number, signal: NodeJS.Signals): SignalResult;
  /** Whether the system refuses a signal to a process that is there: another user's. */
  readonly isDenied?: (pid: number) => boolean;
  /** Signals a whole group, in one step that no fork can slip through; the caller has proven it ours. */
  signalGroup(pgid: number, signal: NodeJS.Signals): SignalResult;
  /** Whether a group has any process, zombies included; absent where there are no groups. */
  readonly hasGroup?: (pgid: number) => boolean;
  /** How numbers are given out: `now`, or when that was last asked; absent where the system does not tell. */
  readonly pidSupply?: {
    now(): PidSupply | undefined;
    recent(): PidSupply | undefined;
  };
  /** A start time on the wall clock, in ms since 1970; `undefined` if it cannot be told. */
  readonly startedAt?: (startTime: string) => number | undefined;
  /** Whether a process is a guardian, of whichever host, by its arguments; a name proves nothing else. */
  readonly isGuardian?: (pid: number) => boolean;
  /** Ends a process and its descendants by force; only where signals are not to be had (Windows). */
  readonly endTree?: (pid: number) => Promise<void>;
  /** Sets resource limits for what is launched; absent where they are not handed down (macOS, Windows). */
  readonly rlimits?: RlimitSystem;
  /** Starts a guardian on a pipe that only this host holds; absent where no host needs one. */
  readonly guard?: (request: GuardRequest) => Guard;
  /** Absent where nobody else can see the state directory: then there is no heartbeat. */
  readonly heartbeat?: HeartbeatTimes;
  /** Whether what wrote a file was a kernel that is gone: before this boot, on a disk of one kernel alone; absent where boots are told apart otherwise (Windows). */
  readonly isOfEarlierBoot?: (path: string) => boolean;
  /** How a dead owner in another PID namespace is told; absent where there are none (macOS, Windows). */
  readonly liveness?: Liveness;
  sample(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>>;
  /** Each process's own share of the memory it uses, in bytes; who is gone or hides it is left out; absent where the system does not tell. */
  readonly pss?: (pids: readonly number[]) => Promise<ReadonlyMap<number, number>>;
  /**
   * Finds who listens there, for each socket at least one entry; resolves to `undefined` when the
   * system cannot tell, and never rejects. With `among`, one of these is enough, and only they are
   * looked at where that is cheaper (Linux); absent where no system call tells.
   */
  readonly listeners?: (
    endpoint: Endpoint,
    among?: readonly number[],
  ) => Promise<readonly Listener[] | undefined>;
  readonly probe: Probe;
  /** Whether this thread is the one that receives signals. */
  readonly isMainThread: boolean;
  /** Listens for a signal to the host, before everyone else; returns how to stop. */
  onSignal(signal: NodeJS.Signals, listener: () => void): () => void;
  /**
   * Who listens for a signal to the host at this moment: the host itself, or any supervisor. A
   * listener of signal-exit's is nobody's: it waits until it is alone.
   */
  signalListeners(signal: NodeJS.Signals): { readonly host: number; readonly ours: number };
  /** Listens to the parent's IPC channel, and keeps no host alive for it; returns how to stop. */
  onParent(event: 'message' | 'disconnect', listener: (message: unknown) => void): () => void;
  /** Warns the host's operator, once per code. */
  emitWarning(code: string, message: string): void;
  /** Lets the host die of a signal; as pid 1, which no signal of its own ends, by its exit code. */
  raise(signal: NodeJS.Signals): void;
}
