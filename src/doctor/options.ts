import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { SupervisorError } from '../index.ts';

/** Options of the doctor's page: its login, and the limit of event streams. */
export interface DoctorHandlerOptions {
  /**
   * The secret that opens the page, the events and the metrics. Clients send it as
   * `Authorization: Bearer`, or type it into the page's login. At least 16 characters. Without it and
   * without `authorize`, only requests that `toNodeListener` lets in from the loopback are answered.
   */
  token?: string | undefined;
  /** Your own login, besides the token: returns `true` if the sender may see and end all processes. */
  authorize?: ((request: Request) => boolean | Promise<boolean>) | undefined;
  /** Most event streams at once; the next request gets a 503. @default 64 */
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

/** Checked options, with every default filled in. */
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
