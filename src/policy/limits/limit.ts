import type { AgentOutput } from '../../claude-code/agent-output.ts';
import type { ProcessEntry, ProcessTable } from '../../os/os.ts';
import type { ExitCause } from '../../reports.ts';

/** Bytes that went through a process's streams. */
export interface StreamActivity {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
  /** The output of an agent, read from its stdout; `undefined` for other processes. */
  readonly agent: AgentOutput | undefined;
}

/** A running process, as far as its limits need to know. */
export interface LimitedProcess {
  readonly record: { readonly pid: number };
  readonly tree: { membersIn(table: ProcessTable): ProcessEntry[] };
  /** Only where the process has streams, and somebody asked for it to be counted. */
  readonly activity: StreamActivity | undefined;
  /** True while a termination of its tree is running. */
  readonly ending: boolean;
  running(): boolean;
  end(cause: ExitCause, options: object, reason: string): Promise<unknown>;
}

/** Ends a process; `reason` says which figure was exceeded. */
type End = (cause: ExitCause, reason: string) => void;

/** The contract of all limits: watch a process from now on, end it if need be; returns how to stop. */
export type Limit = (process: LimitedProcess, end: End) => () => void;
