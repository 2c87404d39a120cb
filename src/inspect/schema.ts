import * as z from 'zod/mini';
import type { DoctorReport } from './report.ts';

const text = () => z.string();
const count = () => z.int().check(z.minimum(0));
const amount = () => z.number();
const orNull = <S extends z.ZodMiniType>(schema: S) => z.nullable(schema);
const list = <S extends z.ZodMiniType>(schema: S) => z.readonly(z.array(schema));

const cause = () =>
  z.enum([
    ...([
      'completed',
      'failed',
      'crashed',
      'terminated',
      'aborted',
      'reaped',
      'wall-clock',
    ] as const),
    ...([
      'startup',
      'idle',
      'memory',
      'lifetime',
      'budget',
      'duplicate',
      'shutdown',
      'disowned',
    ] as const),
    'not-started',
  ]);
const status = () => z.enum(['ok', 'warn', 'fail']);
const quota = () => z.object({ used: count(), limit: orNull(count()) });

const check = () =>
  z.object({ id: text(), status: status(), summary: text(), advice: orNull(text()) });

const host = () =>
  z.object({
    pid: count(),
    machine: text(),
    platform: text(),
    arch: text(),
    runtime: text(),
    runtimeVersion: text(),
    packageVersion: text(),
    bundled: list(z.object({ name: text(), version: text() })),
    rssBytes: count(),
    depth: count(),
    maxDepth: orNull(count()),
    openFiles: orNull(quota()),
    tasks: orNull(quota()),
  });

const pool = () =>
  z.object({
    concurrency: count(),
    running: count(),
    waiting: count(),
    oldestWaitMs: orNull(amount()),
    paused: orNull(z.object({ reason: text(), since: amount(), until: orNull(amount()) })),
    queue: list(
      z.object({
        sessionId: orNull(text()),
        kind: orNull(text()),
        priority: amount(),
        keys: list(text()),
        waitedMs: amount(),
        waitsFor: z.object({
          cause: z.enum(['start', 'pause', 'key', 'starting', 'slot', 'machine', 'condition']),
          name: orNull(text()),
        }),
      }),
    ),
    keys: list(z.object({ key: text(), running: count(), limit: orNull(count()) })),
    live: count(),
    hardCap: count(),
  });

const supervisor = () =>
  z.object({
    instance: orNull(text()),
    state: z.enum(['new', 'running', 'stopping', 'stopped']),
    pool: pool(),
    guardian: z.object({
      state: z.enum(['guarding', 'starting', 'stopped', 'missing', 'off', 'unneeded', 'closed']),
      pid: orNull(count()),
    }),
    rlimitTag: orNull(
      z.object({ limit: z.enum(['locks', 'rss', 'rttime', 'off']), reason: orNull(text()) }),
    ),
    spentUsd: amount(),
  });

const ownerVerdict = () => z.enum(['ours', 'alive', 'dead', 'rebooted', 'elsewhere', 'unproven']);
const owner = () =>
  z.object({
    instance: text(),
    pid: count(),
    machine: text(),
    verdict: ownerVerdict(),
    openedAt: amount(),
    processes: count(),
  });

const machineHost = () =>
  z.object({
    instance: text(),
    pid: count(),
    machine: text(),
    verdict: ownerVerdict(),
    limit: count(),
    held: count(),
    holders: list(text()),
    waiting: list(
      z.object({
        sessionId: orNull(text()),
        waitedMs: amount(),
        why: z.enum(['slots-held', 'others-first', 'host-silent', 'host-dead']),
      }),
    ),
  });
const machineSlots = () =>
  z.object({ kind: orNull(text()), limit: count(), held: count(), hosts: list(machineHost()) });

const limit = () => orNull(amount());
const processHealth = () =>
  z.object({
    id: text(),
    owner: text(),
    pid: count(),
    command: text(),
    kind: text(),
    sessionId: orNull(text()),
    identity: z.enum(['alive', 'zombie', 'gone', 'recycled', 'unproven', 'elsewhere', 'rebooted']),
    state: orNull(z.enum(['running', 'ending', 'exited', 'disowned'])),
    holdsSlot: orNull(z.boolean()),
    keys: list(text()),
    outlivesHost: z.boolean(),
    disowned: z.boolean(),
    cleanup: orNull(text()),
    startedAt: amount(),
    ageMs: amount(),
    cpuPercent: orNull(amount()),
    rssBytes: orNull(amount()),
    descendants: list(z.object({ pid: count(), ppid: count(), command: text() })),
    limits: orNull(
      z.object({ startupMs: limit(), idleMs: limit(), memoryBytes: limit(), lifetimeMs: limit() }),
    ),
    lifetimeLeftMs: orNull(amount()),
    sessionLeftMs: orNull(amount()),
  });

const session = () =>
  z.object({
    id: text(),
    createdAt: amount(),
    ageMs: amount(),
    maxWallClockMs: orNull(amount()),
    leftMs: orNull(amount()),
    expired: z.boolean(),
    started: count(),
    live: count(),
    lastEnd: orNull(z.object({ at: amount(), cause: cause() })),
    spentUsd: amount(),
    spentTokens: amount(),
  });

const service = () =>
  z.object({
    name: text(),
    state: orNull(
      z.enum(['idle', 'starting', 'ready', 'waiting', 'open', 'half-open', 'closing', 'closed']),
    ),
    pid: orNull(count()),
    failures: count(),
    openForMs: amount(),
  });

const fileKind = () =>
  z.enum([
    ...(['journal', 'claim', 'kept', 'session', 'day', 'history', 'service', 'restarts'] as const),
    ...([
      'conversation',
      'pid-file',
      'socket',
      'lock',
      'share',
      'order',
      'clock',
      'folder',
      'heartbeat',
      'half-written',
      'other',
    ] as const),
  ]);
const stateDir = () =>
  z.object({
    path: text(),
    exists: z.boolean(),
    mode: orNull(text()),
    ownerUid: orNull(count()),
    files: list(z.object({ kind: fileKind(), count: count(), bytes: count() })),
    bytes: count(),
    freeBytes: orNull(amount()),
    unsafe: list(z.object({ file: text(), why: text() })),
  });

const environment = () =>
  z.object({
    nested: z.boolean(),
    markers: list(text()),
    dropped: list(text()),
    missing: list(text()),
    proxy: list(text()),
    logins: list(text()),
  });

const end = () =>
  z.object({
    at: amount(),
    owner: text(),
    id: text(),
    pid: orNull(count()),
    command: text(),
    kind: text(),
    sessionId: orNull(text()),
    cause: orNull(cause()),
    code: orNull(z.int()),
    signal: orNull(text()),
    forced: z.boolean(),
    durationMs: amount(),
  });

/** @internal */
export const doctorReport = z.object({
  version: z.literal(1),
  at: amount(),
  tookMs: amount(),
  status: status(),
  checks: list(check()),
  host: host(),
  supervisor: orNull(supervisor()),
  owners: list(owner()),
  processes: list(processHealth()),
  sessions: list(session()),
  machineSlots: list(machineSlots()),
  services: list(service()),
  stateDir: stateDir(),
  environment: environment(),
  ends: list(end()),
});

/** The JSON Schema (draft 2020-12) of a `DoctorReport`; fields may be added within a version. */
export function doctorReportSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(doctorReport satisfies z.ZodMiniType<DoctorReport>, {
    io: 'input',
  });
  return { ...schema, title: 'DoctorReport' };
}
