import * as z from 'zod/mini';

/**
 * The record of a running session that Claude Code's CLI writes to `sessions/PID.json` of its config
 * folder.
 *
 * The format is undocumented (measured with 2.1.330). A record is read, and never acted on.
 */
export interface RunningSession {
  readonly pid: number;
  readonly sessionId: string;
  /** The kernel's start time of the process (Linux). */
  readonly procStart: string;
  /** On Linux `linux:MACHINE:NAMESPACE`, with the machine id and the PID namespace. */
  readonly pidDomain: string;
  /** The CLI's word for its use, as `interactive`. */
  readonly kind: string;
}

const runningSession = z.lazy(() =>
  z.object({
    pid: z.int().check(z.minimum(2)),
    sessionId: z.string().check(z.maxLength(128)),
    procStart: z.string().check(z.regex(/^\d{1,20}$/)),
    pidDomain: z.string().check(z.maxLength(256)),
    // It is shown.
    kind: z._default(z.string().check(z.regex(/^[\w-]{1,64}$/)), 'unknown'),
  }),
);

/** Parses such a record; `undefined` for anything else. */
export function parseRunningSession(text: string): RunningSession | undefined {
  try {
    return z.safeParse(runningSession, JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The pid in the name of such a file; `undefined` for any other file. */
export function pidOfRecord(name: string): number | undefined {
  const pid = /^([1-9]\d{0,9})\.json$/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** The CLI's name for the processes of one PID namespace of a Linux machine. */
export function pidDomainOf(machineId: string, pidNamespace: string): string {
  return `linux:${machineId}:${pidNamespace}`;
}

/** The folder in which an agent with this environment records its sessions; `undefined` without a home. */
export function sessionsFolder(
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { CLAUDE_CONFIG_DIR: config, HOME: home } = env;
  if (config) return `${config}/sessions`;
  return home ? `${home}/.claude/sessions` : undefined;
}
