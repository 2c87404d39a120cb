import * as z from 'zod/mini';
import { HEARTBEAT_ID } from '../tree/identity.ts';

/** The number of the format of pid files and spawn locks; a reader acts on its own number only. */
export const PID_FILE_VERSION = 1;

const MAX_PID = 2 ** 22;
/**
 * Pattern of a daemon's mark; processes that carry the mark are ended with the daemon.
 *
 * It must be a daemon's mark, and no other supervisor's.
 */
const DAEMON_MARK = /^[\w-]{1,64}\.daemon\.kept$/;

const text = (maxLength: number) => z.string().check(z.maxLength(maxLength));

/** Most fields that a daemon may add to its pid file. */
const MAX_FIELDS = 32;

/** The daemon's own fields: its port, say. */
export const pidFileFields = () =>
  z
    .record(
      z.string().check(z.regex(/^[A-Za-z][\w.-]{0,63}$/, 'must be names of letters and digits')),
      z.union([text(1024), z.number(), z.boolean()], {
        error: 'must be a text of up to 1024 characters, a number, or true or false',
      }),
    )
    .check(
      z.refine((fields) => Object.keys(fields).length <= MAX_FIELDS, {
        error: `must have at most ${MAX_FIELDS} fields`,
      }),
    );

const recordedIdentity = () => ({
  machine: text(256),
  pid: z.int().check(z.minimum(1), z.maximum(MAX_PID)),
  /** Absent until the system has told it. */
  startTime: z.optional(text(32).check(z.minLength(1))),
  bootId: text(64),
  pidNamespace: text(64),
  /**
   * Heartbeat whose end proves, from elsewhere, that the process is dead.
   *
   * It is the process's own, beside the file, or that of its PID namespace's first process.
   */
  heartbeat: z.optional(z.string().check(z.regex(HEARTBEAT_ID))),
});

const pidFileSchema = z.lazy(() =>
  z.object({
    version: z.literal(PID_FILE_VERSION),
    ...recordedIdentity(),
    /** The socket that the process listens on. */
    socket: z.optional(text(4096)),
    /** The daemon's name. */
    name: z.optional(text(256)),
    daemonVersion: z.optional(text(256)),
    fields: z.optional(pidFileFields()),
    /** The kept segment in the cookies of the daemon and of all it starts. */
    cookie: z.optional(z.string().check(z.regex(DAEMON_MARK))),
    /** Not ready yet: where in its log file this start begins. */
    starting: z.optional(z.int().check(z.nonnegative())),
    /** Not ready yet: when this start was made, and for how long it may take. */
    boot: z.optional(
      z.object({
        /** Wall clock, ms since 1970. */
        at: z.number().check(z.minimum(0)),
        sinceBootMs: z.number(),
        forMs: z.number().check(z.minimum(0)),
      }),
    ),
    /** When a launcher saw it ready, and how many launches in a row had failed before. */
    ready: z.optional(
      z.object({
        at: z.number().check(z.minimum(0)),
        sinceBootMs: z.number(),
        failures: z.int().check(z.nonnegative()),
      }),
    ),
    /** Written by the process itself, and no more by its launcher. */
    claimed: z.optional(z.literal(true)),
  }),
);

const spawnLockSchema = z.lazy(() =>
  z.object({
    version: z.literal(PID_FILE_VERSION),
    ...recordedIdentity(),
    nonce: text(64).check(z.minLength(1)),
  }),
);

/** The content of a pid file: a bare number could be anybody's by now. */
export type PidFile = Readonly<z.infer<typeof pidFileSchema>>;

/** The content of a spawn lock: its holder, and the nonce that tells it from all other locks. */
export type SpawnLockFile = Readonly<z.infer<typeof spawnLockSchema>>;

/** The process, and its machine, that has written a file or is named by it. */
export type RecordedIdentity = Omit<SpawnLockFile, 'version' | 'nonce'>;

/** Reads a pid file's content; `undefined` for anything this format does not know. */
export function parsePidFile(value: unknown): PidFile | undefined {
  return pidFileSchema.safeParse(value).data;
}

/** Reads a spawn lock's content; `undefined` for anything this format does not know. */
export function parseSpawnLock(value: unknown): SpawnLockFile | undefined {
  return spawnLockSchema.safeParse(value).data;
}
