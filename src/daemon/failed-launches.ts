import { rmSync } from 'node:fs';
import type { Os } from '../os/os.ts';
import { Breaker } from '../policy/breaker.ts';
import { launchesPath } from '../store/layout.ts';
import { ServiceFile } from '../store/service-file.ts';

/** The defaults of a service's breaker and backoff: a launcher has no say in what binds all of them. */
const BREAKER = { failures: 3, openMs: 60_000 };
const BACKOFF_MS = 1000;

/** The time in which nobody may start a daemon. */
export interface LaunchPause {
  /** 0 if a start may be tried. */
  readonly forMs: number;
  /** Failed launches in a row. */
  readonly failures: number;
  /** Too many have failed: this is no backoff any more. */
  readonly isOpen: boolean;
}

/** The failed launches in a row of one daemon, on disk, for all launchers; used under the spawn lock. */
export class FailedLaunches {
  readonly path: string;
  readonly #file: ServiceFile;
  readonly #breaker: Breaker;

  constructor(pidFile: string, name: string, os: Os) {
    this.path = launchesPath(pidFile);
    const longestOpenMs = BREAKER.openMs;
    // In a folder that cannot be written nothing is started either.
    const warn = () => undefined;
    this.#file = new ServiceFile({ os, path: this.path, name, longestOpenMs, warn });
    this.#breaker = new Breaker(BREAKER, this.#file);
  }

  get pause(): LaunchPause {
    const { failures, openForMs } = this.#file.read();
    return { forMs: openForMs, failures, isOpen: failures >= BREAKER.failures };
  }

  /**
   * Counts one; the next has to wait, twice as long each time. `earlier` are those in a row before a
   * daemon that was ready, and so forgotten.
   */
  count(earlier = 0): void {
    if (earlier > 0) this.#file.write({ failures: earlier, openForMs: 0 });
    if (this.#breaker.fail() > 0) return;
    const { failures } = this.#file.read();
    this.#file.write({ failures, openForMs: BACKOFF_MS * 2 ** (failures - 1) });
  }

  /** It works. */
  forget(): void {
    rmSync(this.path, { force: true });
  }
}
