import { fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Notices that the reader of stdout's pipe is gone before the next write.
 *
 * No system call in Node tells; `/proc` on Linux names the processes that have the pipe open.
 * Elsewhere, and for readers of other users, nothing is known.
 */
export class PipeReader {
  readonly #pipe = pipeOfStdout();
  /** The reader's descriptor in /proc, as last found. */
  #reader: string | undefined;

  /** True if there was a reader and there is none any more. */
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

/** The pipe's name, such as `pipe:[4711]`. */
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
