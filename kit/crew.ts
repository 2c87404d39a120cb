// Many hosts that share a machine's slots, some of which are killed at work, and a witness of their trees.
import { setTimeout as delay } from 'node:timers/promises';
import type { SupervisorOptions } from '../src/index.ts';
import { type Area, type ContainedHost, LADDER } from './containment.ts';
import { environmentOf } from './process-table.ts';

/** An agent that leaves a process in a session of its own, and lives for up to three seconds. */
export const BRIEF = 'setsid sleep 60 & sleep $(($$ % 3)).5';
/** An agent of two processes that ignore SIGTERM, and live until they are killed. */
export const STUBBORN = 'trap "" TERM; setsid sleep 60 & sleep 60; sleep 60';

const LOOK_MS = 10;

/**
 * The time for which fewer trees may be alive than there are slots: two seconds, and more on a loaded
 * machine. A dead host is found, swept and followed by some twenty looks at the process table.
 */
export function allowedGapMs(slowestLookMs: number): number {
  return 2000 + 20 * slowestLookMs;
}

/** Starts a host that always wants agents. */
export function crewHost(
  area: Area,
  script: string,
  pool: SupervisorOptions['pool'],
  more: SupervisorOptions = {},
): ContainedHost {
  return area.host({
    script: 'contained-crew.ts',
    args: [script],
    options: { ladder: LADDER, pool, ...more },
  });
}

/** The names of all trees that have a live process now. */
export function liveTrees(area: Area): string[] {
  const names = area.tree().flatMap((row) => {
    const line = environmentOf(row).find((entry) => entry.startsWith('TREE='));
    return line === undefined ? [] : [line.slice('TREE='.length)];
  });
  return [...new Set(names)].sort();
}

/** Looks at the process table again and again. */
export class CrewWitness {
  readonly #area: Area;
  readonly #limit: number;
  readonly #seen = new Set<string>();
  #isOver = false;
  #fewSinceMs: number | undefined;
  /** The most trees that were alive at one moment. */
  peak: readonly string[] = [];
  /** The longest time in which fewer trees were alive than there are slots. */
  longestGapMs = 0;
  /** The longest time that one look has taken: it shows how loaded the machine is. */
  slowestLookMs = 0;
  looks = 0;
  readonly done: Promise<void>;

  constructor(area: Area, limit: number) {
    this.#area = area;
    this.#limit = limit;
    this.done = this.#watch();
  }

  /** Number of trees that were seen so far. */
  get seen(): number {
    return this.#seen.size;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.done;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      this.#look();
      await delay(LOOK_MS);
    }
  }

  #look(): void {
    const beganMs = performance.now();
    const trees = liveTrees(this.#area);
    this.looks++;
    this.slowestLookMs = Math.max(this.slowestLookMs, performance.now() - beganMs);
    for (const tree of trees) this.#seen.add(tree);
    if (trees.length > this.peak.length) this.peak = trees;
    const nowMs = performance.now();
    if (trees.length >= this.#limit) this.#fewSinceMs = undefined;
    // The slots are free until the first hosts are there.
    else if (this.peak.length >= this.#limit) this.#fewSinceMs ??= nowMs;
    if (this.#fewSinceMs !== undefined)
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#fewSinceMs);
  }
}

export interface CrewSize {
  readonly hosts: number;
  readonly limit: number;
  readonly forMs: number;
  /** Mean time between two kills. */
  readonly killEveryMs: number;
}

/** Lets hosts work, and kills one of them at a time by chance; each is replaced by another. */
export async function sailCrew(
  area: Area,
  { hosts: count, limit, forMs, killEveryMs }: CrewSize,
): Promise<CrewWitness & { readonly kills: number; readonly warnings: readonly string[] }> {
  const witness = new CrewWitness(area, limit);
  const said: ContainedHost[] = [];
  const recruit = (index: number): ContainedHost => {
    const pool = { concurrency: 1 + (index % 3), machineConcurrency: limit };
    const host = crewHost(area, index % 4 === 3 ? STUBBORN_FOR_A_WHILE : BRIEF, pool);
    said.push(host);
    return host;
  };
  const hosts: ContainedHost[] = [];
  while (hosts.length < count) {
    // Not all at once: each needs a second of a core to start.
    hosts.push(recruit(hosts.length), recruit(hosts.length + 1));
    await Promise.all(hosts.map((host) => host.next(({ event }) => event === 'ready')));
  }
  const untilMs = performance.now() + forMs;
  let kills = 0;
  while (performance.now() < untilMs) {
    await delay(2 * killEveryMs * Math.random());
    const index = Math.floor(Math.random() * count);
    hosts[index]?.kill('SIGKILL');
    await hosts[index]?.exited;
    hosts[index] = recruit(index);
    kills++;
  }
  await witness.stop();
  for (const host of hosts) host.child.stdin?.end();
  const warnings = said.flatMap(({ messages }) =>
    messages
      .filter(({ event }) => event === 'warning')
      .map(({ code, message }) => `${code}: ${message}`),
  );
  return Object.assign(witness, { kills, warnings });
}

/** An agent that ignores SIGTERM, and ends by itself. */
const STUBBORN_FOR_A_WHILE = 'trap "" TERM; setsid sleep 4 & sleep 1';
