import { fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Tells whether somebody still reads the pipe that stdout is, before something is written to nobody.
 *
 * No system call that Node has tells it; /proc on Linux names who has the pipe open. Elsewhere, and of
 * a reader whom only another user may look at, nothing is known.
 */
export class PipeReader {
  readonly #pipe = pipeOfStdout();
  /** Its descriptor in /proc, as it was found last. */
  #reader: string | undefined;

  /** Whether there was one, and is none any more. */
  isGone(): boolean {
    if (this.#pipe === undefined) return false;
    const before = this.#reader;
    if (before !== undefined && this.#isOpen(before)) return false;
    this.#reader = this.#find();
    return before !== undefined && this.#reader === undefined;
  }

  #isOpen(descriptor: string): boolean {
    try {
      return readlinkSync(descriptor) === this.#pipe;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  }

  #find(): string | undefined {
    const pids = namesIn('/proc').filter((name) => /^\d+$/.test(name));
    for (const pid of pids) {
      for (const fd of namesIn(`/proc/${pid}/fd`)) {
        const descriptor = `/proc/${pid}/fd/${fd}`;
        if (linkOf(descriptor) === this.#pipe && isForReading(pid, fd)) return descriptor;
      }
    }
    return undefined;
  }
}

/** Its name, such as `pipe:[4711]`. */
function pipeOfStdout(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    return fstatSync(1).isFIFO() ? readlinkSync('/proc/self/fd/1') : undefined;
  } catch {
    return undefined;
  }
}

function isForReading(pid: string, fd: string): boolean {
  try {
    const [, flags = ''] =
      /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')) ?? [];
    // O_ACCMODE: 1 is O_WRONLY.
    return flags !== '' && (Number.parseInt(flags, 8) & 3) !== 1;
  } catch {
    return false;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
