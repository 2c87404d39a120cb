import { lstatSync, rmSync, utimesSync } from 'node:fs';
import { hashName } from '../os/hash.ts';
import type { Os } from '../os/os.ts';
import type { ExitCause, SessionEnd } from '../reports.ts';
import { filesIn } from './files.ts';
import { FORMAT_VERSION, parseSessionLine, type SessionLine } from './formats.ts';
import { sessionPath } from './layout.ts';
import { Ledger } from './ledger.ts';
import { observeClock } from './retention.ts';
import { removeWorkingFolders } from './working-folders.ts';

/** The boot clocks of two hosts may be so far apart: some runtimes tell the uptime in whole seconds. */
const SKEW_MS = 2000;
/** A file that is younger may be one that another host is just about to write to. */
const BIRTH_MS = 1000;

export interface SessionFilesOptions {
  readonly os: Os;
  stateDir(): string;
  /** `''` until it is known. */
  bootId(): string;
  warn(message: string, cause?: unknown): void;
}

/** A session as its own file tells of it, whichever host wrote that. */
export interface SessionLedger {
  /** When it was created; the first call creates it. */
  readonly created: SessionCreation;
  /** Its own limit, if one was ever set. */
  readonly maxWallClockMs: number | null | undefined;
  readonly processes: number;
  readonly lastEnd: SessionEnd | undefined;
  readonly spent: { readonly usd: number; readonly tokens: number };
  limit(maxWallClockMs: number | null): void;
  started(): void;
  ended(cause: ExitCause): void;
  charge(spent: { readonly usd: number; readonly tokens: number }): void;
}

/** When a session was created, and how old it was when this host first saw it. */
export interface SessionCreation {
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly ageMs: number;
}

/** The files of the sessions: one each, shared by all hosts of the state directory. */
export class SessionFiles {
  readonly #options: SessionFilesOptions;

  constructor(options: SessionFilesOptions) {
    this.#options = options;
  }

  /** Opens a session's file, and makes it if it is to be created. */
  open(id: string, create: boolean): SessionLedger | undefined {
    const file = new SessionFile(id, this.#pathOf(id), this.#options);
    return file.isCreated(create) ? file : undefined;
  }

  /** Forgets the sessions that nobody has seen for `retentionMs`, with their folders; those `inUse` are seen now. */
  async forgetUnseen(retentionMs: number, inUse: Iterable<string>): Promise<void> {
    const { os } = this.#options;
    const stateDir = this.#options.stateDir();
    const bootId = this.#options.bootId();
    const nowMs = os.clock.now();
    const retention = observeClock({ os, stateDir, bootId, dryRun: false });
    for (const id of inUse) touch(this.#pathOf(id), nowMs);
    const forgotten = new Set<string>();
    for (const { path, hash } of filesIn(stateDir, 'session')) {
      const seenMs = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? nowMs;
      if (!retention.isOver(seenMs, retentionMs)) continue;
      rmSync(path, { force: true });
      forgotten.add(hash);
    }
    await removeWorkingFolders({ os, stateDir }, { forgotten, retentionMs, retention });
  }

  #pathOf(id: string): string {
    return sessionPath(this.#options.stateDir(), hashName(id));
  }
}

function touch(path: string, nowMs: number): void {
  try {
    utimesSync(path, nowMs / 1000, nowMs / 1000);
  } catch {
    // Gone, or on a read-only disk: the next line that is written makes it anew, or says so.
  }
}

class SessionFile implements SessionLedger {
  readonly #id: string;
  readonly #path: string;
  readonly #options: SessionFilesOptions;
  readonly #ledger: Ledger<SessionLine>;
  #origin: SessionLine['created'] | undefined;
  #created: SessionCreation | undefined;

  constructor(id: string, path: string, options: SessionFilesOptions) {
    this.#id = id;
    this.#path = path;
    this.#options = options;
    this.#ledger = new Ledger({
      path,
      userId: options.os.userId(),
      parse: (value) => this.#parse(value),
      warn: options.warn,
    });
  }

  /** Tells that the session exists; if not, `create` begins it now. */
  isCreated(create: boolean): boolean {
    const isThere = this.#ledger.read().length > 0 || this.#bornAtMs() !== undefined;
    return isThere || create;
  }

  get created(): SessionCreation {
    this.#created ??= this.#findCreation();
    return this.#created;
  }

  get maxWallClockMs(): number | null | undefined {
    return this.#last('maxWallClockMs')?.maxWallClockMs;
  }

  get processes(): number {
    return this.#ledger.read().filter(({ started }) => started).length;
  }

  get lastEnd(): SessionEnd | undefined {
    const line = this.#last('ended');
    return line && { at: line.at, cause: line.ended as ExitCause };
  }

  get spent(): { usd: number; tokens: number } {
    const sum = { usd: 0, tokens: 0 };
    for (const { spent } of this.#ledger.read()) {
      sum.usd += spent?.usd ?? 0;
      sum.tokens += spent?.tokens ?? 0;
    }
    return sum;
  }

  limit(maxWallClockMs: number | null): void {
    this.#write({ maxWallClockMs });
  }

  started(): void {
    this.#write({ started: true });
  }

  ended(cause: ExitCause): void {
    this.#write({ ended: cause });
  }

  charge(spent: { usd: number; tokens: number }): void {
    this.#write({ spent });
  }

  #last(field: keyof SessionLine): SessionLine | undefined {
    return this.#ledger.read().findLast((line) => line[field] !== undefined);
  }

  #write(change: Partial<SessionLine>): void {
    void this.created;
    const { clock } = this.#options.os;
    // Every line names the creation, so that no broken one can renew it.
    const created = this.#origin as SessionLine['created'];
    const line = { version: FORMAT_VERSION, session: this.#id, created, at: clock.now() } as const;
    this.#ledger.append({ ...line, ...change });
  }

  #findCreation(): SessionCreation {
    const known = this.#ledger.read()[0]?.created;
    if (known === undefined) {
      this.#begin();
      // Of two hosts that begin it at once the first in the file counts.
      this.#origin = this.#ledger.read()[0]?.created ?? this.#origin;
    } else this.#origin = known;
    const { clock } = this.#options.os;
    const origin = this.#origin as SessionLine['created'];
    const ageMs = Math.max(0, this.#sinceBoot(origin) ?? clock.now() - origin.at);
    if (origin.at <= clock.now()) return { at: origin.at, ageMs };
    // Forged, or the wall clock was set back since.
    const message = `${this.#path}: the session was created in the future; the clock since boot counts`;
    this.#options.warn(message);
    return { at: clock.now() - ageMs, ageMs };
  }

  #begin(): void {
    const { os, warn } = this.#options;
    const bootId = this.#options.bootId();
    const { machine } = os.identify();
    const nowMs = os.clock.now();
    const bornAtMs = this.#bornAtMs();
    const ageMs = bornAtMs === undefined ? 0 : Math.max(0, nowMs - bornAtMs);
    this.#origin = {
      at: nowMs - ageMs,
      machine,
      bootId,
      sinceBootMs: os.clock.sinceBootMs() - ageMs,
    };
    if (ageMs > BIRTH_MS)
      warn(`${this.#path}: no line of it can be read; the session counts from the file's creation`);
    const line = { version: FORMAT_VERSION, session: this.#id, at: nowMs } as const;
    this.#ledger.append({ ...line, created: this.#origin });
  }

  /** When the file was made, which no damage to its content changes. */
  #bornAtMs(): number | undefined {
    const stat = lstatSync(this.#path, { throwIfNoEntry: false });
    return stat && (stat.birthtimeMs || stat.mtimeMs);
  }

  /** Its age on the clock of this boot; `undefined` if it is of another one. */
  #sinceBoot({ bootId, sinceBootMs }: SessionLine['created']): number | undefined {
    if (bootId === '' || bootId !== this.#options.bootId()) return undefined;
    return this.#options.os.clock.sinceBootMs() - sinceBootMs;
  }

  /** A line from the future is no line: it would give the session time that it never had. */
  #parse(value: unknown): SessionLine | undefined {
    const line = parseSessionLine(value);
    if (line === undefined || line.session !== this.#id) return undefined;
    const { clock } = this.#options.os;
    const sinceBootMs = this.#sinceBoot(line.created);
    if (sinceBootMs === undefined) return line.created.at <= clock.now() ? line : undefined;
    return sinceBootMs >= -SKEW_MS ? line : undefined;
  }
}
