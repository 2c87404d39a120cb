import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { SupervisorError } from '../index.ts';

/** Who may see a doctor's page, and how many at once. */
export interface DoctorHandlerOptions {
  /**
   * What opens the page, the events and the metrics: as `Authorization: Bearer`, or typed into the page's
   * login. At least 16 characters. Without it, and without `authorize`, nobody gets in but whom
   * `toNodeListener` lets in from the loopback.
   */
  token?: string | undefined;
  /** The host's own login, besides the token: whether whoever sent the request may see and end everything. */
  authorize?: ((request: Request) => boolean | Promise<boolean>) | undefined;
  /** How many may follow the events at once; the next one is answered with 503. @default 64 */
  maxStreams?: number | undefined;
}

const TOKEN_MIN_LENGTH = 16;

const handlerOptions = z.prefault(
  z.strictObject({
    token: z.optional(z.string()),
    authorize: z.optional(
      z.custom<NonNullable<DoctorHandlerOptions['authorize']>>(
        (value) => typeof value === 'function',
        { error: 'must be a function' },
      ),
    ),
    maxStreams: z._default(z.int().check(z.minimum(1)), 64),
  }),
  {},
);

/** The options with every default filled in. */
export interface CheckedHandlerOptions extends DoctorHandlerOptions {
  readonly maxStreams: number;
}

/** @throws SupervisorError `INVALID_OPTIONS`, which never quotes a token */
export function checkHandlerOptions(
  input: DoctorHandlerOptions | undefined,
): CheckedHandlerOptions {
  const token: unknown = input?.token;
  if (typeof token === 'string' && token.length < TOKEN_MIN_LENGTH) {
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `doctorHandler: "token" has ${token.length} characters, but must have at least ${TOKEN_MIN_LENGTH}. Take a long random one, such as crypto.randomUUID().`,
      { data: { field: 'token' } },
    );
  }
  return parseInput(handlerOptions, input, 'doctorHandler');
}
