import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import type { LaunchRequest, OutputTarget } from './os.ts';

const { O_APPEND, O_CREAT, O_TRUNC, O_WRONLY, O_NONBLOCK = 0 } = constants;

type Outputs = Pick<LaunchRequest, 'stdout' | 'stderr'>;

/** The outputs of a launch after their files have been opened. */
export interface OpenOutputs extends Outputs {
  readonly stdout: Exclude<Outputs['stdout'], object>;
  readonly stderr: Exclude<Outputs['stderr'], object>;
  close(): void;
}

/** The file of an output could not be opened. */
export class OutputFileError extends Error {}

/**
 * Opens the files of the outputs; both outputs may use the same file.
 *
 * @throws OutputFileError that names the output and its file
 */
export function openOutputs({ stdout, stderr }: Outputs): OpenOutputs {
  const opened = new Map<string, number>();
  const close = (): void => {
    for (const fd of opened.values()) closeSync(fd);
  };
  const descriptor = (name: keyof Outputs, output: Outputs[keyof Outputs]) => {
    if (typeof output !== 'object') return output;
    const path = resolve(output.file);
    // With two descriptors each output would overwrite the other.
    const fd = opened.get(path) ?? openFor(name, path, output);
    opened.set(path, fd);
    return fd;
  };
  try {
    return { stdout: descriptor('stdout', stdout), stderr: descriptor('stderr', stderr), close };
  } catch (error) {
    close();
    throw error;
  }
}

function openFor(
  name: keyof Outputs,
  path: string,
  { append = false }: Extract<OutputTarget, object>,
): number {
  const flags = O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC);
  try {
    // Opening a named pipe without a reader would block the host; with this flag it is refused.
    const fd = openSync(path, flags | O_NONBLOCK, 0o666);
    if (fstatSync(fd).isFile()) return fd;
    try {
      return openSync(path, flags);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'ENXIO' ? 'it is a named pipe or a socket that nobody reads' : message;
    throw new OutputFileError(
      `${name}.file "${path}" could not be opened: ${why}. Create its folder, or choose a file that this host may write.`,
      { cause },
    );
  }
}
