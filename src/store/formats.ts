import * as z from 'zod/mini';
import { HEARTBEAT_ID } from '../tree/identity.ts';

/**
 * The number of the format below, in every journal's header. A reader acts on its own number
 * only, so that an older or newer version of this package never misreads a process's identity.
 */
export const FORMAT_VERSION = 1;

const MAX_PID = 2 ** 22;
/** Names of cleanups: what a command of a host is found by. */
export const CLEANUP_NAME = /^[A-Za-z][\w.-]{0,63}$/;

const identity = () => ({
  startTime: z.optional(z.string().check(z.minLength(1), z.maxLength(32))),
  bootId: z.string().check(z.maxLength(64)),
  pidNamespace: z.string().check(z.maxLength(64)),
});

const recordSchema = z.lazy(() =>
  z.object({
    id: z.string().check(z.regex(/^[\w-]{1,64}$/)),
    pid: z.int().check(z.minimum(2), z.maximum(MAX_PID)),
    ...identity(),
    /** The process leads a group and a session of its own, both with its pid as number. */
    group: z.boolean(),
    kind: z.string().check(z.maxLength(256)),
    sessionId: z.optional(z.string().check(z.maxLength(1024))),
    command: z.string().check(z.maxLength(256)),
    cwd: z.string().check(z.maxLength(4096)),
    startedAt: z.number(),
    /** Meant to live on when its host ends. */
    outlivesHost: z.optional(z.boolean()),
    /** The resource limit that it bears, as all that it starts (tree/rlimit-tag.ts). */
    tag: z.optional(z.string().check(z.regex(/^\d{19}$/))),
    /** Let go: nobody supervises it any more, and nobody ends it. */
    disowned: z.optional(z.boolean()),
    /** The name of the command to run when its tree is dead. */
    cleanup: z.optional(z.string().check(z.regex(CLEANUP_NAME))),
    /** The keys under which its host's pool counts it. */
    keys: z.optional(
      z.readonly(z.array(z.string().check(z.maxLength(256))).check(z.maxLength(16))),
    ),
  }),
);

const ownerSchema = z.lazy(() =>
  z.object({
    instance: z.string().check(z.regex(/^[\w-]{8,64}$/)),
    machine: z.string().check(z.maxLength(256)),
    pid: z.int().check(z.minimum(1), z.maximum(MAX_PID)),
    ...identity(),
    heartbeat: z.optional(z.string().check(z.regex(HEARTBEAT_ID))),
  }),
);

const headerSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    owner: ownerSchema,
    openedAt: z.number(),
  }),
);

const changeSchema = z.lazy(() =>
  z.union([
    z.object({ add: recordSchema }),
    z.object({ remove: z.string().check(z.maxLength(64)) }),
  ]),
);

/** A day that no clock reaches: beyond it, dates cannot be written. */
const MAX_DATE_MS = 8.64e15;
const stamp = () => z.number().check(z.minimum(0), z.maximum(MAX_DATE_MS));

const spent = () =>
  z.object({ usd: z.number().check(z.nonnegative()), tokens: z.number().check(z.nonnegative()) });

const sessionLineSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    session: z.string().check(z.minLength(1), z.maxLength(1024)),
    created: z.object({
      at: stamp(),
      machine: z.string().check(z.maxLength(256)),
      bootId: z.string().check(z.maxLength(64)),
      sinceBootMs: z.number(),
    }),
    at: stamp(),
    maxWallClockMs: z.optional(z.nullable(z.number().check(z.minimum(1)))),
    /** A process was started for it. */
    started: z.optional(z.literal(true)),
    /** A process of it ended, with this cause. */
    ended: z.optional(z.string().check(z.maxLength(32))),
    spent: z.optional(spent()),
  }),
);

const spendLineSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    session: z.optional(z.string().check(z.maxLength(1024))),
    at: stamp(),
    spent: spent(),
  }),
);

const noteSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    at: stamp(),
    /** `lost`: it is gone, and nobody has seen how. */
    event: z.enum(['started', 'ended', 'lost']),
    owner: z.string().check(z.maxLength(64)),
    id: z.string().check(z.maxLength(64)),
    pid: z.optional(z.int()),
    kind: z.string().check(z.maxLength(256)),
    sessionId: z.optional(z.string().check(z.maxLength(1024))),
    command: z.optional(z.string().check(z.maxLength(256))),
    cause: z.optional(z.string().check(z.maxLength(32))),
    code: z.optional(z.nullable(z.int())),
    signal: z.optional(z.nullable(z.string().check(z.maxLength(32)))),
    forced: z.optional(z.boolean()),
    durationMs: z.optional(z.number()),
  }),
);

const orderSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    cause: z.enum(['terminated', 'reaped']),
  }),
);

const conversationLockSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    conversation: z.string().check(z.minLength(1), z.maxLength(1024)),
    owner: ownerSchema,
    /** The id of the owner's record that it is for. */
    id: z.string().check(z.regex(/^[\w-]{1,64}$/)),
  }),
);

/** Most holders and most waiting requests that a host names to the others. */
export const MAX_SHARE_NAMES = 50;

const hostShareSchema = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    owner: ownerSchema,
    /** The kind of the commands that share these slots; absent for those of all hosts. */
    kind: z.optional(z.string().check(z.maxLength(256))),
    limit: z.int().check(z.minimum(1)),
    held: z.int().check(z.nonnegative()),
    /** The processes that hold slots, as far as they have a name. */
    holders: z.array(z.string().check(z.maxLength(64))).check(z.maxLength(MAX_SHARE_NAMES)),
    waiting: z
      .array(
        z.object({
          sinceBootMs: z.number(),
          sessionId: z.optional(z.string().check(z.maxLength(256))),
        }),
      )
      .check(z.maxLength(MAX_SHARE_NAMES)),
    seenMs: z.number(),
  }),
);

/** The record of one supervised process, without arguments and environment: both hold secrets. */
export type SupervisionRecord = Readonly<z.infer<typeof recordSchema>>;

/** The first line of a journal: whose it is, in which format. */
export type JournalHeader = Readonly<z.infer<typeof headerSchema>>;

/** One line of a session's file. */
export type SessionLine = Readonly<z.infer<typeof sessionLineSchema>>;

/** One line of a day's file. */
export type SpendLine = Readonly<z.infer<typeof spendLineSchema>>;

/** One line of the history. */
export type HistoryNote = Readonly<z.infer<typeof noteSchema>>;

/** As what an operator ends a process. */
export type Order = Readonly<z.infer<typeof orderSchema>>;

/** The host and the process that run a conversation's agent. */
export type ConversationLock = Readonly<z.infer<typeof conversationLockSchema>>;

/** The slots of a machine that one host holds and waits for. */
export type HostShareFile = Readonly<z.infer<typeof hostShareSchema>>;

export type JournalChange = z.infer<typeof changeSchema>;

/** Reads a journal's first line; `undefined` for one of another format or of no format. */
export function parseHeader(value: unknown): JournalHeader | undefined {
  return headerSchema.safeParse(value).data;
}

/** Reads one later line of a journal; `undefined` for anything this format does not know. */
export function parseChange(value: unknown): JournalChange | undefined {
  return changeSchema.safeParse(value).data;
}

/** Reads one line of a session's file; `undefined` for anything this format does not know. */
export function parseSessionLine(value: unknown): SessionLine | undefined {
  return sessionLineSchema.safeParse(value).data;
}

/** Reads a line of a day's file; `undefined` for anything this format does not know. */
export function parseSpendLine(value: unknown): SpendLine | undefined {
  return spendLineSchema.safeParse(value).data;
}

/** Reads a line of the history; `undefined` for anything this format does not know. */
export function parseNote(value: unknown): HistoryNote | undefined {
  return noteSchema.safeParse(value).data;
}

export function parseOrder(value: unknown): Order | undefined {
  return orderSchema.safeParse(value).data;
}

export function parseConversationLock(value: unknown): ConversationLock | undefined {
  return conversationLockSchema.safeParse(value).data;
}

export function parseHostShare(value: unknown): HostShareFile | undefined {
  return hostShareSchema.safeParse(value).data;
}
