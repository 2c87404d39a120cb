import type { ChildProcess } from 'node:child_process';
import type { Clock } from './clock.ts';
import type { LivenessSocket } from './liveness-socket.ts';
import type { OomWatch } from './oom-kills.ts';

/** The environment variable that marks every descendant of a supervised process. */
export const COOKIE_VARIABLE = 'AGENT_SUPERVISOR_COOKIE';

export type Platform = 'linux' | 'darwin' | 'win32';

/** A row of the process table without the environment and the limits. */
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
  /**
   * The kernel's start time, in the system's own unit; `''` if it is unknown. Compared for
   * equality; ordered by length, then as text.
   */
  readonly startTime: string;
  /** The program's name, without arguments. */
  readonly command: string;
  /** The value of AGENT_SUPERVISOR_COOKIE, where the system shows environments. */
  readonly cookie: string | undefined;
  /**
   * Hard limits that can be tags (tree/rlimit-tag.ts); absent where there are none (macOS,
   * Windows).
   */
  readonly tags?: readonly string[];
}

/** A resource limit that the kernel does not enforce, so that it can carry a tag (Linux). */
export type TagLimit = 'locks' | 'rss' | 'rttime';

/**
 * Hard limits: `unlimited`, or a decimal number, which may be too large for a JavaScript number.
 */
export type Rlimits = Readonly<Partial<Record<TagLimit, string>>>;

/** Resource limits that child processes inherit. */
export interface RlimitSystem {
  /** The host's own limits at this moment. */
  own(): Rlimits;
  /**
   * Launches a program with a limit and reads it back, once per limit. Resolves to `undefined` if
   * the limit holds, else to the reason.
   */
  probe(limit: TagLimit, value: string): Promise<string | undefined>;
  /** The limits of another process; none if they cannot be read. */
  of?(pid: number): Rlimits;
  /** Lowers the limits of a living process, where the system allows. */
  lower?(pid: number, rlimits: Rlimits): Promise<void>;
  /**
   * The words before a command line that set its limits.
   *
   * None if that is not possible.
   */
  prefix(rlimits: Rlimits, env: Readonly<Record<string, string>>): readonly string[];
}

/** The kernel's pid counters at one moment, in this host's PID namespace. */
export interface PidSupply {
  /** Successful forks since boot in all namespaces, so at least as many as in this one. */
  readonly forks: number;
  /** The pid that was assigned last. */
  readonly last: number;
  /** All pids are below this. */
  readonly max: number;
  /** Live tasks of the whole machine, threads included. */
  readonly tasks: number;
}

/** A snapshot of all processes. */
export type ProcessTable = ReadonlyMap<number, ProcessEntry> & {
  /** Read just before and just after the snapshot; absent where the system does not tell. */
  readonly supply?: { readonly before: PidSupply; readonly after: PidSupply } | undefined;
};

/**
 * The destination of an output: a reader in the host, nowhere, the host's own output, or a file.
 */
export type OutputTarget =
  | 'pipe'
  | 'ignore'
  | 'inherit'
  | {
      /** A path relative to the host's working directory. */
      readonly file: string;
      /** Appends to the file instead of emptying it first. @default false */
      readonly append?: boolean | undefined;
    };

/** The parameters of a launch; all of them reach the child unchanged. */
export interface LaunchRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Gives the child no streams that break when the host dies, and lets the host exit before it. */
  readonly outlivesHost?: boolean;
  /** Default: a pipe; for a process that outlives its host, nowhere. */
  readonly stdin?: 'pipe' | 'ignore' | 'inherit' | undefined;
  /** A number is an open file descriptor. Default: as for stdin. */
  readonly stdout?: OutputTarget | number | undefined;
  readonly stderr?: OutputTarget | number | undefined;
  /** Soft and hard limits of the child and of all its descendants. */
  readonly rlimits?: Rlimits | undefined;
}

/** The reason for a failed launch: a message for the caller and the system's own error. */
export interface LaunchFailure {
  readonly code: 'COMMAND_NOT_FOUND' | 'CWD_NOT_FOUND' | 'SPAWN_FAILED';
  readonly message: string;
  readonly cause: unknown;
}

/** The running child as Node returns it, or the reason for the failure. */
export type Launched =
  | {
      readonly child: ChildProcess;
      /** Tells from exit code and stderr why the program was never run although its process was. */
      readonly unrun?:
        | ((code: number | null, stderr: string) => LaunchFailure | undefined)
        | undefined;
      readonly failure?: never;
    }
  | { readonly failure: Promise<LaunchFailure>; readonly child?: never };

/** The outcome of sending a signal; never a proof of death. */
export type SignalResult = 'sent' | 'gone' | 'denied';

/** The process table. */
export interface Processes {
  /**
   * Reads all processes, in slices that leave the event loop free. Rejects rather than return a
   * part of them.
   */
  snapshot(): Promise<ProcessTable>;
  /**
   * Reads one process at once; `undefined` when it has exited. Throws if the system cannot tell;
   * absent where it would take a child process.
   */
  readonly read?: (pid: number) => BareProcess | undefined;
}

/** CPU and memory of one process. */
export interface Usage {
  /** Percent of one core since the previous sample. */
  readonly cpuPercent: number;
  /** User and system time since the start of the process, without that of its children. */
  readonly cpuTimeMs: number;
  readonly rssBytes: number;
}

/** Tells this host from every other process, on this and on other machines that share a folder. */
export interface SelfIdentity {
  /** The machine's name, which tells a reboot from another machine on the same network folder. */
  readonly machine: string;
  readonly pid: number;
  /** `undefined` where the system cannot tell without a child process. */
  readonly startTime: string | undefined;
  /** `''` where the system cannot tell without a child process. */
  readonly bootId: string;
  /** The PID namespace; `''` where the system has none. */
  readonly pidNamespace: string;
}

/**
 * The place where a process listens: a TCP port or a Unix socket (`\0name` for an abstract one).
 * The default of `host` is this machine's loopback addresses.
 */
export type Endpoint =
  | { readonly port: number; readonly host?: string | undefined }
  | { readonly socket: string };

/** The owner of a listening socket. */
export interface Listener {
  /**
   * `undefined` where the system hides it (another user's process), or where it is not in `among`.
   */
  readonly pid: number | undefined;
  /** The program's name; `''` if the pid is unknown. */
  readonly command: string;
  /** The user id of the socket's owner, where the system tells. */
  readonly uid?: number | undefined;
}

/** Probes an address: does anything answer there? */
export interface Probe {
  /** Tells whether somebody takes connections there; never rejects. */
  canConnect(endpoint: Endpoint, timeoutMs: number): Promise<boolean>;
  /** Tells whether a GET of this address is answered with 2xx; never rejects. */
  answersOk(url: string, timeoutMs: number): Promise<boolean>;
}

/** The parameters of a guardian, before it learns of any process. */
export interface GuardRequest {
  /** The owner's instance id, which is in the cookies of all processes it starts. */
  readonly owner: string;
  /** The owner's digits in the tags of all processes it starts; `undefined` without tags. */
  readonly tag?: string | undefined;
  readonly politeMs: number;
  readonly forcedMs: number;
  /** A file descriptor that the guardian keeps open as long as it lives, where it can. */
  readonly hold?: number | undefined;
}

/** A command that the guardian runs when host and tree are dead. It is told by the pipe alone. */
export interface GuardedCleanup extends Pick<LaunchRequest, 'command' | 'args' | 'env'> {
  /** Longest time that it may take. */
  readonly timeoutMs: number;
}

/** The timing of heartbeats, for hosts whose process others cannot look up. */
export interface HeartbeatTimes {
  /** From one beat to the next, while anything is running or locked. */
  readonly beatMs: number;
  /**
   * A heartbeat that has not changed for this long, on the observer's monotonic clock, is given up.
   */
  readonly giveUpMs: number;
  /** From one check of other hosts' heartbeats to the next. */
  readonly lookMs: number;
}

/**
 * A socket that refuses connections once its owner is dead, in every PID namespace of one kernel.
 */
export interface Liveness {
  /** Listens at a path; `undefined` where no socket can be made. */
  listen(path: string): LivenessSocket | undefined;
  /** Tells a socket from every other one; `undefined` if there is no socket. */
  key(path: string): string | undefined;
  /** Connects to the socket: `refused` if no process of this kernel listens any more. */
  ask(path: string): Promise<'alive' | 'refused' | 'silent'>;
}

/** A running guardian. */
export interface Guard {
  /** `undefined` until the guardian is ready. */
  readonly pid: number | undefined;
  /** Resolves once the guardian is ready; rejects if it never will be. */
  readonly ready: Promise<void>;
  write(line: string): void;
  /** Gives the guardian a command to run once its host is dead, until the line `cleaned KEY`. */
  addCleanup(key: number, cleanup: GuardedCleanup): void;
  onExit(listener: () => void): void;
  /** True while the guardian is stopped (SIGSTOP); absent where the system does not tell. */
  isStopped?(): boolean;
}

/** A private folder for a user whose home cannot be written, and why it cannot. */
export interface StateFallback {
  readonly path: string;
  readonly reason: string;
}

/** The operating system: the only way this package launches, signals and reads the time. */
export interface Os {
  readonly platform: Platform;
  readonly clock: Clock;
  readonly processes: Processes;
  identify(): SelfIdentity;
  /** The machine's id of systemd and D-Bus (Linux); `undefined` where there is none. */
  readonly machineId?: () => string | undefined;
  /** Looks up the whole identity; absent where `identify` knows all of it. */
  readonly identifyAsync?: () => Promise<SelfIdentity>;
  /** The host's environment at this moment. */
  environment(): Readonly<Record<string, string | undefined>>;
  /** The path of the Electron program that this host is; absent elsewhere. */
  readonly electronPath?: string | undefined;
  /** The host's user id; `undefined` where the system has none. */
  userId(): number | undefined;
  /**
   * True if a process runs as the host's own user. Root may signal other users' processes, but they
   * are not its own.
   */
  isOwnUsers(pid: number): boolean;
  /** The platform's per-user folder for state that outlives a process. */
  stateHome(): string;
  /**
   * A private folder of this name, and the reason, for a user whose home is not writable; else
   * `undefined`.
   */
  stateFallback?(name: string): StateFallback | undefined;
  /**
   * Loads the modules that `launch` needs and never rejects; `undefined` if they are loaded
   * already.
   */
  readonly prepareLaunch?: () => Promise<void> | undefined;
  /** Starts a process in its own group and session (POSIX), without a console (Windows). */
  launch(request: LaunchRequest): Launched;
  signal(pid: number, signal: NodeJS.Signals): SignalResult;
  /**
   * True if the process exists and the system refuses our signals to it (another user's process).
   */
  readonly isDenied?: (pid: number) => boolean;
  /**
   * Signals a whole group in one step that no fork can escape. The caller has proven that the group
   * is its own.
   */
  signalGroup(pgid: number, signal: NodeJS.Signals): SignalResult;
  /** True if a group has any process, zombies included; absent where there are no groups. */
  readonly hasGroup?: (pgid: number) => boolean;
  /**
   * Pid counters: `now` reads them, `recent` returns the last reading. Absent where the system does
   * not tell.
   */
  readonly pidSupply?: {
    now(): PidSupply | undefined;
    recent(): PidSupply | undefined;
  };
  /** Converts a start time to ms since 1970; `undefined` if it cannot be told. */
  readonly startedAt?: (startTime: string) => number | undefined;
  /** True if a process has the arguments of a guardian, of any host. A name proves nothing else. */
  readonly isGuardian?: (pid: number) => boolean;
  /** Kills a process and its descendants; only where there are no signals (Windows). */
  readonly endTree?: (pid: number) => Promise<void>;
  /**
   * Resource limits for launched processes; absent where they are not inherited (macOS, Windows).
   */
  readonly rlimits?: RlimitSystem;
  /** Starts a guardian on a pipe that only this host holds; absent where no host needs one. */
  readonly guard?: (request: GuardRequest) => Guard;
  /** Absent where no other machine can see the state directory: then there is no heartbeat. */
  readonly heartbeat?: HeartbeatTimes;
  /**
   * True if the kernel that wrote a file is gone. Then the file is older than this boot, on a disk
   * that only one kernel mounts. Absent where boots are told apart otherwise (Windows).
   */
  readonly isOfEarlierBoot?: (path: string) => boolean;
  /**
   * Tells whether an owner in another PID namespace is dead; absent where there are none (macOS,
   * Windows).
   */
  readonly liveness?: Liveness;
  sample(pids: readonly number[]): Promise<ReadonlyMap<number, Usage>>;
  /**
   * The proportional share of memory (PSS) of each process, in bytes. Leaves out processes that
   * have exited or are hidden; absent where the system does not tell.
   */
  readonly pss?: (pids: readonly number[]) => Promise<ReadonlyMap<number, number>>;
  /**
   * Tells which processes the kernel killed for want of memory. Absent where the system does not
   * tell (macOS, Windows).
   */
  readonly oomKills?: { watch(pid: number): OomWatch };
  /**
   * Finds the processes that listen at an endpoint, at least one entry per socket. Resolves to
   * `undefined` if the system cannot tell, and never rejects. With `among`, one of these processes
   * is enough, and only they are searched where that is cheaper (Linux). Absent where no system
   * call tells.
   */
  readonly listeners?: (
    endpoint: Endpoint,
    among?: readonly number[],
  ) => Promise<readonly Listener[] | undefined>;
  readonly probe: Probe;
  /** True if this thread receives the signals sent to the process. */
  readonly isMainThread: boolean;
  /**
   * Listens for a signal to the host, before all other listeners; returns a function that stops.
   */
  onSignal(signal: NodeJS.Signals, listener: () => void): () => void;
  /**
   * Counts the listeners for a signal to the host: the host's own, and those of supervisors.
   * Listeners of signal-exit count as neither: they act only when they are alone.
   */
  signalListeners(signal: NodeJS.Signals): { readonly host: number; readonly ours: number };
  /**
   * Listens to the parent's IPC channel without keeping the host alive; returns a function that
   * stops.
   */
  onParent(event: 'message' | 'disconnect', listener: (message: unknown) => void): () => void;
  /** Warns the host's operator, once per code. */
  emitWarning(code: string, message: string): void;
  /**
   * Kills the host by a signal. Exits with the signal's code instead as pid 1, where its own
   * signals have no effect.
   */
  raise(signal: NodeJS.Signals): void;
}
