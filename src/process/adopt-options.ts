import * as z from 'zod/mini';
import { sessionId } from './request.ts';

/** @internal */
export const adoptOptions = z.lazy(() =>
  z
    .strictObject({
      pid: z.optional(z.int()),
      id: z.optional(z.string().check(z.minLength(1), z.maxLength(64))),
      kind: z.optional(z.string().check(z.minLength(1), z.maxLength(256))),
      sessionId: z.optional(sessionId),
      keepAlive: z._default(z.boolean(), true),
    })
    .check(
      z.refine(({ pid, id }) => (pid === undefined) !== (id === undefined), {
        error: 'must name either a pid or the id of a process that lives on',
        path: ['pid'],
      }),
    ),
);

/** A process to adopt, and its labels. */
export interface AdoptOptions {
  /** Any process of the host's user that nobody else supervises. */
  pid?: number | undefined;
  /** Instead of a pid: the record id of a process that an earlier host started with `outlivesHost`. */
  id?: string | undefined;
  /** Default: the process's former kind, else `'adopted'`. */
  kind?: string | undefined;
  /** Default: the process's former session, else none. */
  sessionId?: string | number | undefined;
  /** Keeps this host alive as long as the process lives, as a child does. @default true */
  keepAlive?: boolean | undefined;
}
