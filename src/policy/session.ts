import * as z from 'zod/mini';
import { durationMs } from '../check.ts';
import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Clock } from '../os/clock.ts';
import type { ExitCause, SessionInfo } from '../reports.ts';
import type { SessionCreation, SessionLedger } from '../store/session-file.ts';

const HOUR_MS = 3_600_000;
const RETENTION_MS = 30 * 24 * HOUR_MS;

/** @internal The longest duration of a session; `null` is no limit. */
export const wallClockMs = z.lazy(() => z.nullable(durationMs().check(z.minimum(1))));

/** @internal */
export const sessionOptions = z.lazy(() =>
  z
    .pipe(
      z.prefault(
        z.strictObject({
          maxWallClockMs: z._default(wallClockMs, 4 * HOUR_MS),
          onExpire: z._default(z.enum(['terminate', 'refuse']), 'terminate'),
          retentionMs: z.optional(durationMs().check(z.minimum(1))),
        }),
        {},
      ),
      z.transform(({ retentionMs, ...rest }) => ({
        ...rest,
        // A session that may last longer is also remembered longer.
        retentionMs: retentionMs ?? Math.max(RETENTION_MS, rest.maxWallClockMs ?? 0),
      })),
    )
    .check(
      z.superRefine(({ maxWallClockMs, retentionMs }, context) => {
        if (maxWallClockMs === null || retentionMs >= maxWallClockMs) return;
        context.addIssue({
          code: 'custom',
          path: ['retentionMs'],
          message: `must be at least maxWallClockMs (${maxWallClockMs}), or a forgotten session would begin anew`,
        });
      }),
    ),
);

/**
 * @internal Refuses a session limit that is longer than its file is kept.
 *
 * @throws SupervisorError `INVALID_OPTIONS` naming both fields and their values
 */
export function assertRemembered(
  maxWallClockMs: number | null | undefined,
  { retentionMs }: { readonly retentionMs: number },
  subject: string,
): void {
  if ((maxWallClockMs ?? 0) <= retentionMs) return;
  const fields = ['maxWallClockMs', 'session.retentionMs'] as const;
  throw new SupervisorError(
    'INVALID_OPTIONS',
    `${subject}: "${fields[0]}" is ${maxWallClockMs}, but must be at most "${fields[1]}", which is ${retentionMs}: a forgotten session would begin anew. Correct one of them.`,
    { data: { fields, values: [maxWallClockMs, retentionMs] } },
  );
}

/** The parts of a supervisor that its sessions need. */
export interface SessionsContext {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly options: {
    readonly maxWallClockMs: number | null;
    readonly onExpire: 'terminate' | 'refuse';
  };
  /** Opens the session's file; `undefined` if there is none and `create` is false. */
  open(id: string, create: boolean): SessionLedger | undefined;
  /** Number of the session's processes that run on this host. */
  live(id: string): number;
  /** Called when the session has exceeded its limit. */
  expired(id: string, error: () => SupervisorError): void;
}

/** The sessions with processes on this host, each with its wall clock. */
export class Sessions {
  readonly #context: SessionsContext;
  readonly #sessions = new Map<string, Session>();
  /** Expired sessions that were announced; each is announced once. */
  readonly #announced = new Set<string>();

  constructor(context: SessionsContext) {
    this.#context = context;
  }

  /** Begins or continues a session; its wall clock counts from its first beginning. */
  enter(id: string, maxWallClockMs?: number | null): Session {
    const session = this.#find(id, true) as Session;
    if (maxWallClockMs !== undefined) session.limit(maxWallClockMs);
    return session;
  }

  describe(id: string): SessionInfo | undefined {
    return this.#find(id, false)?.describe();
  }

  /** The sessions that still have processes on this host. */
  get inUse(): string[] {
    return [...this.#sessions.keys()].filter((id) => this.#context.live(id) > 0);
  }

  /**
   * Reads the limits that other hosts have set for sessions in use, and closes unused sessions. A
   * session is unused without a process here and without a timer; its file has all of its state.
   */
  review(): void {
    for (const [id, session] of this.#sessions) {
      if (this.#context.live(id) > 0) session.watch();
      else if (!session.isWatched) this.#sessions.delete(id);
    }
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  #find(id: string, create: boolean): Session | undefined {
    const known = this.#sessions.get(id);
    if (known !== undefined) return known;
    const ledger = this.#context.open(id, create);
    if (ledger === undefined) return undefined;
    const session = new Session(id, ledger, this.#context, this.#announced);
    if (create) {
      this.#sessions.set(id, session);
      session.watch();
    }
    return session;
  }
}

/** One session and its wall clock. */
export class Session {
  readonly id: string;
  readonly #ledger: SessionLedger;
  readonly #context: SessionsContext;
  readonly #created: SessionCreation;
  readonly #seenAtMs: number;
  readonly #announced: Set<string>;
  #cancel: (() => void) | undefined;

  constructor(id: string, ledger: SessionLedger, context: SessionsContext, announced: Set<string>) {
    this.#announced = announced;
    this.id = id;
    this.#ledger = ledger;
    this.#context = context;
    this.#created = ledger.created;
    this.#seenAtMs = context.clock.monotonicMs();
  }

  /**
   * The session's age. It counts on from the first reading, so that a jump of the wall clock
   * changes nothing.
   */
  get ageMs(): number {
    return this.#created.ageMs + this.#context.clock.monotonicMs() - this.#seenAtMs;
  }

  get maxWallClockMs(): number | null {
    const own = this.#ledger.maxWallClockMs;
    return own === undefined ? this.#context.options.maxWallClockMs : own;
  }

  /** An age of exactly the limit is allowed. */
  get isExpired(): boolean {
    return this.maxWallClockMs !== null && this.ageMs > this.maxWallClockMs;
  }

  limit(maxWallClockMs: number | null): void {
    if (this.#ledger.maxWallClockMs === maxWallClockMs) return;
    this.#ledger.limit(maxWallClockMs);
    this.watch();
  }

  /** True while a timer waits for the session's expiry. */
  get isWatched(): boolean {
    return this.#cancel !== undefined;
  }

  /**
   * Announces the expiry when it comes: once, unless the limit is raised later, here or by another
   * host.
   */
  watch(): void {
    this.close();
    const limitMs = this.maxWallClockMs;
    if (!this.isExpired) this.#announced.delete(this.id);
    if (this.#announced.has(this.id) || limitMs === null) return;
    const check = (): void => {
      if (this.isExpired) this.#announce();
      else this.watch();
    };
    // 1 ms more: exactly the limit is allowed, and timers may fire slightly early.
    this.#cancel = this.#context.clock.after(Math.max(0, limitMs - this.ageMs) + 1, check);
  }

  /** @throws SupervisorError `SESSION_EXPIRED` */
  assertOpen(): void {
    if (!this.isExpired) {
      if (this.#announced.has(this.id)) this.watch();
      return;
    }
    this.#announce();
    throw this.#error();
  }

  started(): void {
    this.#ledger.started();
    const { live, emit } = this.#context;
    const processes = live(this.id);
    if (processes < 2) return;
    const message = `${processes} processes of session "${this.id}" run at once.`;
    emit('warning', { code: 'SESSION_SHARED', message });
  }

  ended(cause: ExitCause): void {
    this.#ledger.ended(cause);
  }

  charge(spent: { readonly usd: number; readonly tokens: number }): void {
    this.#ledger.charge(spent);
  }

  get spent(): { readonly usd: number; readonly tokens: number } {
    return this.#ledger.spent;
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  describe(): SessionInfo {
    const { processes, lastEnd, spent } = this.#ledger;
    const { ageMs, maxWallClockMs } = this;
    return {
      id: this.id,
      createdAt: this.#created.at,
      ageMs,
      maxWallClockMs,
      expired: this.isExpired,
      processes,
      live: this.#context.live(this.id),
      lastEnd,
      spent,
    };
  }

  #announce(): void {
    this.close();
    if (this.#announced.has(this.id)) return;
    this.#announced.add(this.id);
    const { emit, expired } = this.#context;
    const { id, createdAt, ageMs, maxWallClockMs, live } = this.describe();
    emit('session-expired', {
      sessionId: id,
      createdAt,
      ageMs,
      maxWallClockMs: maxWallClockMs as number,
      live,
    });
    expired(id, () => this.#error());
  }

  #error(): SupervisorError {
    const { ageMs, maxWallClockMs } = this;
    return new SupervisorError(
      'SESSION_EXPIRED',
      `Session "${this.id}" is ${Math.floor(ageMs)} ms old, and may last ${maxWallClockMs} ms; nothing was started. Begin a new session, or raise session.maxWallClockMs (null is without end).`,
      { data: { sessionId: this.id, createdAt: this.#created.at, ageMs, maxWallClockMs } },
    );
  }
}
