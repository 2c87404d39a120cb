import { join, resolve } from 'node:path';
import { sourceFlags } from './built-sources.ts';
import { type Program, type ProgramEnd, startProgram } from './start-program.ts';

const FOLDER = join(import.meta.dirname, '../test/fixtures/hosts');

export interface HostOptions {
  readonly args: readonly string[];
  /** The host's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** @default this Node */
  readonly runtime?: string | undefined;
  /** Flags of the runtime before the script, such as Deno's `run -A`. */
  readonly flags?: readonly string[];
  /** Opens an IPC channel to this process. @default false */
  readonly ipc?: boolean | undefined;
}

/** Runs a script of test/fixtures/hosts, or of an absolute path, in a process of its own to its end. */
export function runHost(script: string, options: HostOptions): Promise<ProgramEnd> {
  return startHost(script, options).end;
}

/** The compile cache that all hosts share (vitest.config.ts). */
export function compileCache(): { NODE_COMPILE_CACHE?: string } {
  const { NODE_COMPILE_CACHE: folder } = process.env;
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

/** The beginning of a host's command line: this Node with the bundled sources, or another runtime. */
export function runtimeCommand(runtime = process.execPath): string[] {
  return runtime === process.execPath ? [runtime, ...sourceFlags()] : [runtime];
}

/** Starts a script of test/fixtures/hosts, or of an absolute path, in a process of its own. */
export function startHost(
  script: string,
  { args, env, cwd, ipc, runtime, flags = [] }: HostOptions,
): Program {
  const command = [...runtimeCommand(runtime), ...flags, resolve(FOLDER, script), ...args];
  return startProgram(command, { env: { ...compileCache(), ...env }, cwd, ipc });
}
