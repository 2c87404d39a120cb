import * as z from 'zod/mini';
import { systemText } from '../check.ts';
import type { Ready } from './ready.ts';

const WAYS = ['port', 'url', 'socket', 'check', 'stdout'] as const;

/** All fields of a readiness, in one object: for a union, zod would report an error for every variant. */
export const readyFields = () => ({
  port: z.optional(z.int().check(z.minimum(1), z.maximum(65_535))),
  host: z.optional(systemText().check(z.minLength(1))),
  url: z.optional(
    systemText().check(
      z.refine((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? ''), {
        error: 'must be an http or https address',
      }),
    ),
  ),
  socket: z.optional(
    z.union([systemText().check(z.minLength(1)), z.string().check(z.regex(/^\0[^\0]+$/))]),
  ),
  check: z.optional(
    z.custom<(context: never) => boolean | PromiseLike<boolean>>(
      (value) => typeof value === 'function',
      { error: 'must be a function' },
    ),
  ),
  stdout: z.optional(z.instanceof(RegExp, { error: 'must be a regular expression' })),
});

type ReadyInput = Readonly<Partial<Record<(typeof WAYS)[number] | 'host', unknown>>>;

/** Refuses a readiness with none of these fields, or with several. */
export function exactlyOneWay<S extends z.ZodMiniType<ReadyInput>>(schema: S): S {
  return schema.check(
    z.refine((input: ReadyInput) => WAYS.filter((way) => input[way] !== undefined).length === 1, {
      error: `must have exactly one of ${WAYS.join(', ')}`,
    }),
    z.refine(({ host, port }: ReadyInput) => host === undefined || port !== undefined, {
      error: 'must come with a port',
      path: ['host'],
    }),
  );
}

/** Keeps only the field that was given, by which the variants are told apart. */
export function waysOf(input: ReadyInput): Ready {
  const named = Object.entries(input).filter(([, value]) => value !== undefined);
  return Object.fromEntries(named) as unknown as Ready;
}
