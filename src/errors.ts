/** Every code a {@link SupervisorError} can carry. */
export const ERROR_CODES = [
  'INVALID_OPTIONS',
  'STOPPING',
  'POOL_TIMEOUT',
  'QUEUE_FULL',
  'ABORTED',
  'HARD_CAP',
  'SESSION_EXPIRED',
  'CONVERSATION_BUSY',
  'SPAWN_RATE',
  'DEPTH_EXCEEDED',
  'BUDGET_EXCEEDED',
  'COMMAND_NOT_FOUND',
  'CWD_NOT_FOUND',
  'SPAWN_FAILED',
  'NOT_ADOPTABLE',
  'READY_TIMEOUT',
  'CIRCUIT_OPEN',
  'ALREADY_RUNNING',
  'STATE_DIR_UNSAFE',
  'UNSUPPORTED_RUNTIME',
  'SERVER_EXITED',
] as const;

export type SupervisorErrorCode = (typeof ERROR_CODES)[number];

// A registered symbol, so that two loaded copies of this package recognise each other's errors.
const BRAND = Symbol.for('agent-supervisor.error');

/** An error with a `code` for programs, and a message that says what to do. */
export class SupervisorError extends Error {
  readonly code: SupervisorErrorCode;
  /** The facts behind the message (field, value, pid …), never a secret. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: SupervisorErrorCode,
    message: string,
    { cause, data = {} }: { cause?: unknown; data?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SupervisorError';
    this.code = code;
    this.data = data;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** Returns `true` if `error` is a {@link SupervisorError}, with the given `code` if one is passed. */
export function isSupervisorError(
  error: unknown,
  code?: SupervisorErrorCode,
): error is SupervisorError {
  return (
    error instanceof Error &&
    BRAND in error &&
    (code === undefined || ('code' in error && error.code === code))
  );
}
