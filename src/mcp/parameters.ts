import type { Stream } from 'node:stream';
import * as z from 'zod/mini';
import { made, parseInput } from '../check.ts';
import type { EndingOptions, SpawnRequest, SupervisedProcess, Supervisor } from '../index.ts';
import { processLimits } from '../policy/limits/limits.ts';
import { spawnRequest } from '../process/request.ts';
import type { StderrChoice } from './stderr.ts';

/** The parameters of the MCP SDK's `StdioClientTransport`, and those of supervision. */
export interface SupervisedStdioParameters
  extends Pick<SpawnRequest, 'sessionId' | 'limits'>,
    EndingOptions {
  command: string;
  args?: readonly string[] | undefined;
  /**
   * Variables for the server, added to those that it inherits by default: HOME, LOGNAME, PATH, SHELL,
   * TERM and USER, or similar ones on Windows.
   */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * Target of the server's stderr. With `'pipe'`, read {@link SupervisedStdioTransport.stderr}; a number
   * is a file descriptor. @default 'inherit'
   */
  stderr?: 'inherit' | 'pipe' | 'overlapped' | 'ignore' | Stream | number | undefined;
  /** Default: the host's own. */
  cwd?: string | undefined;
  /** Longest message, in bytes. @default 10_485_760 */
  maxBufferSize?: number | undefined;
  /** Default: `getSupervisor()`. */
  supervisor?: Supervisor | undefined;
  /** A label for reports. @default 'mcp-server' */
  kind?: string | undefined;
  service?: undefined;
}

/** A server that outlives its transports, such as a `Service` of `agent-supervisor/service`. */
export interface ServiceParameters {
  service: { ensure(): Promise<SupervisedProcess> };
  /** Longest message, in bytes. @default 10_485_760 */
  maxBufferSize?: number | undefined;
  command?: undefined;
}

const maxBufferSize = () => z._default(z.number().check(z.minimum(1)), 10 * 1024 * 1024);

const stderrChoice = () =>
  z._default(
    z.union(
      [
        z.enum(['inherit', 'pipe', 'overlapped', 'ignore']),
        z.int().check(z.nonnegative()),
        z.custom<Stream>((value) => typeof (value as Writing | null)?.write === 'function'),
      ],
      {
        error:
          'must be "inherit", "pipe", "overlapped", "ignore", a writable stream or a file descriptor',
      },
    ),
    'inherit',
  ) as z.ZodMiniType<StderrChoice>;

interface Writing {
  readonly write?: unknown;
}

/** @internal */
const serverParameters = z.strictObject({
  ...z.pick(made(spawnRequest), {
    command: true,
    args: true,
    cwd: true,
    env: true,
    sessionId: true,
    leftovers: true,
    leftoversGraceMs: true,
    ladder: true,
    stopSignal: true,
    signalFirst: true,
    cleanup: true,
  }).shape,
  kind: z._default(z.string().check(z.minLength(1), z.maxLength(256)), 'mcp-server'),
  limits: z.optional(processLimits),
  stderr: stderrChoice(),
  maxBufferSize: maxBufferSize(),
  supervisor: z.optional(
    z.custom<Supervisor>((value) => typeof (value as Supervisor | null)?.spawn === 'function', {
      error: 'must be a supervisor',
    }),
  ),
  service: z.optional(z.undefined()),
});

/** @internal */
const serviceParameters = z.strictObject({
  service: z.custom<ServiceParameters['service']>(
    (value) => typeof (value as ServiceParameters['service'] | null)?.ensure === 'function',
    { error: 'must be a service, or have its ensure()' },
  ),
  maxBufferSize: maxBufferSize(),
});

/** @internal Checked parameters of a server, with defaults. */
export type CheckedServer = z.output<typeof serverParameters>;
/** @internal */
export type CheckedParameters = CheckedServer | z.output<typeof serviceParameters>;

/**
 * @internal Checks the parameters of a transport.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 */
export function checkParameters(
  input: SupervisedStdioParameters | ServiceParameters,
): CheckedParameters {
  const schema = input?.service === undefined ? serverParameters : serviceParameters;
  return parseInput(schema, input, 'SupervisedStdioTransport');
}
