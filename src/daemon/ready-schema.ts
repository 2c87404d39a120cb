import { z } from 'zod';
import { systemText } from '../validation.ts';
import type { Ready } from './options.ts';

const WAYS = ['port', 'url', 'socket', 'check', 'stdout'] as const;

/** Every way to be ready; of a union, zod would complain about each of them. */
export const readyFields = () => ({
  port: z.int().min(1).max(65_535).optional(),
  host: systemText().min(1).optional(),
  url: systemText()
    .refine((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? ''), {
      error: 'must be an http or https address',
    })
    .optional(),
  socket: systemText()
    .min(1)
    .or(z.string().regex(/^\0[^\0]+$/))
    .optional(),
  check: z
    .custom<(context: never) => boolean | PromiseLike<boolean>>(
      (value) => typeof value === 'function',
      { error: 'must be a function' },
    )
    .optional(),
  stdout: z.instanceof(RegExp, { error: 'must be a regular expression' }).optional(),
});

type Wish = Readonly<Partial<Record<(typeof WAYS)[number] | 'host', unknown>>>;

/** Refuses what names none of them, or several. */
export function exactlyOneWay<S extends z.ZodType<Wish>>(schema: S): S {
  return schema
    .refine((wish) => WAYS.filter((way) => wish[way] !== undefined).length === 1, {
      error: `must have exactly one of ${WAYS.join(', ')}`,
    })
    .refine(({ host, port }) => host === undefined || port !== undefined, {
      error: 'must come with a port',
      path: ['host'],
    });
}

/** The way that was named; ways are told apart by which of them is there. */
export function waysOf(wish: Wish): Ready {
  const named = Object.entries(wish).filter(([, value]) => value !== undefined);
  return Object.fromEntries(named) as unknown as Ready;
}
