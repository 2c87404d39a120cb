import { utimesSync } from 'node:fs';
import * as z from 'zod/mini';
import type { Os } from '../os/os.ts';
import { HEARTBEAT_ID, type Owner } from '../tree/identity.ts';
import { readOwnFile, replaceFile } from './files.ts';
import { FORMAT_VERSION } from './formats.ts';
import { parseJson } from './jsonl.ts';
import { timeLeftMs } from './time-left.ts';

const stamp = () =>
  z.object({
    at: z.number().check(z.minimum(0)),
    machine: z.string().check(z.maxLength(256)),
    bootId: z.string().check(z.maxLength(64)),
    sinceBootMs: z.number(),
    /** For how long it was to be open then. */
    forMs: z.number().check(z.minimum(0)),
  });

const instance = () =>
  z.object({
    machine: z.string().check(z.maxLength(256)),
    pid: z.int().check(z.minimum(2)),
    startTime: z.string().check(z.minLength(1), z.maxLength(32)),
    bootId: z.string().check(z.maxLength(64)),
    pidNamespace: z.string().check(z.maxLength(64)),
    /** Its host's: that one's guardian, which shares it, ends the process before it goes. */
    heartbeat: z.optional(z.string().check(z.regex(HEARTBEAT_ID))),
    files: z.readonly(
      z
        .array(
          z.object({
            path: z.string().check(z.maxLength(4096)),
            key: z.string().check(z.maxLength(128)),
          }),
        )
        .check(z.maxLength(100)),
    ),
  });

const content = z.object({
  version: z.literal(FORMAT_VERSION),
  service: z.string().check(z.minLength(1), z.maxLength(256)),
  failures: z.int().check(z.minimum(0)),
  open: z.optional(stamp()),
  instance: z.optional(instance()),
});

/** The last process of a service that was ready, and the files that it had made by then. */
export type Instance = Readonly<z.output<ReturnType<typeof instance>>>;

/** The memory of a breaker, and of its file. */
export interface BreakerState {
  /** Failures in a row. */
  readonly failures: number;
  /** For how much longer nothing is started. */
  readonly openForMs: number;
}

/** The store of a breaker's state. */
export interface BreakerMemory {
  /** As it is now, with what other hosts have added. */
  read(): BreakerState;
  write(state: BreakerState): void;
}

export interface ServiceFileOptions {
  readonly os: Os;
  readonly path: string;
  readonly name: string;
  /** No stamp opens a breaker for longer: it may be forged. */
  readonly longestOpenMs: number;
  warn(message: string, cause?: unknown): void;
}

/** Reads a service's file for a caller that only looks; `undefined` for one that cannot be read. */
export function readServiceFile(
  path: string,
  os: Os,
): ({ readonly name: string } & BreakerState) | undefined {
  try {
    const { data } = content.safeParse(parseJson(readOwnFile(path, os)));
    if (data === undefined) return undefined;
    const { service: name, failures, open } = data;
    const { bootId } = os.identify();
    return {
      name,
      failures,
      openForMs: open ? Math.max(0, timeLeftMs(open, bootId, os.clock)) : 0,
    };
  } catch {
    return undefined;
  }
}

/** The shared memory of a service on a state directory: its breaker, and its last instance. */
export class ServiceFile implements BreakerMemory {
  readonly #options: ServiceFileOptions;
  readonly #path: string;
  #text: string | undefined;
  #failures = 0;
  /** On the monotonic clock: what has been read once is not moved by a clock that is set. */
  #openUntilMs = 0;
  #instance: Instance | undefined;
  #isIntact = true;
  /** Our own identity, as far as it is known. */
  #self: Owner;

  constructor(options: ServiceFileOptions) {
    this.#options = options;
    this.#self = { ...options.os.identify(), instance: crypto.randomUUID() };
    this.#path = options.path;
  }

  /** Takes an identity that has become known. */
  identify(self: Owner): void {
    this.#self = self;
  }

  read(): BreakerState {
    const text = this.#load();
    // What cannot be read takes nothing back.
    if (text !== undefined && text !== this.#text) this.#take(text);
    const { clock } = this.#options.os;
    return {
      failures: this.#failures,
      openForMs: Math.max(0, this.#openUntilMs - clock.monotonicMs()),
    };
  }

  write({ failures, openForMs }: BreakerState): void {
    this.#failures = failures;
    this.#openUntilMs = this.#options.os.clock.monotonicMs() + openForMs;
    this.#save();
  }

  get instance(): Instance | undefined {
    this.read();
    return this.#instance;
  }

  set instance(instance: Instance | undefined) {
    this.#instance = instance;
    this.#save();
  }

  /** Keeps the file of a service that lives: a sweep removes those that nobody has touched for long. */
  touch(): void {
    const now = this.#options.os.clock.now() / 1000;
    try {
      utimesSync(this.#path, now, now);
    } catch {
      // There is none: nothing was to be remembered so far.
    }
  }

  #take(text: string): void {
    const { os, name, longestOpenMs, warn } = this.#options;
    this.#text = text;
    const { data } = content.safeParse(parseJson(text));
    if (data === undefined || data.service !== name) {
      warn(`${this.#path} cannot be read; it is written anew`);
      return;
    }
    this.#failures = data.failures;
    this.#instance = data.instance;
    this.#openUntilMs = 0;
    if (data.open === undefined) return;
    const { bootId } = this.#self;
    const isThisBoot = data.open.bootId !== '' && data.open.bootId === bootId;
    const leftMs = Math.min(timeLeftMs(data.open, bootId, os.clock), longestOpenMs);
    this.#openUntilMs = os.clock.monotonicMs() + leftMs;
    // Counted from now on: a wall clock that is set back could open it for as long again.
    if (!isThisBoot && leftMs > 0) this.#save();
  }

  #load(): string | undefined {
    try {
      return readOwnFile(this.#path, this.#options.os);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') this.#complain('read', cause);
      return undefined;
    }
  }

  #save(): void {
    const { os, name } = this.#options;
    const { machine, bootId, instance } = this.#self;
    const forMs = this.#openUntilMs - os.clock.monotonicMs();
    const now = { at: os.clock.now(), machine, bootId, sinceBootMs: os.clock.sinceBootMs() };
    this.#text = `${JSON.stringify({
      version: FORMAT_VERSION,
      service: name,
      failures: this.#failures,
      ...(forMs > 0 ? { open: { ...now, forMs } } : {}),
      ...(this.#instance === undefined ? {} : { instance: this.#instance }),
    })}\n`;
    try {
      replaceFile(this.#path, this.#text, instance);
      this.#isIntact = true;
    } catch (cause) {
      this.#complain('written', cause);
    }
  }

  /** Says once that it cannot, until it can again. */
  #complain(what: string, cause: unknown): void {
    if (this.#isIntact)
      this.#options.warn(`${this.#path} cannot be ${what}; it goes on in memory`, cause);
    this.#isIntact = false;
  }
}
