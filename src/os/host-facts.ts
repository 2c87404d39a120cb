import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { statfsSync } from './builtin.ts';

/** An amount in use and its limit; `undefined` if there is no limit, or none is known. */
export interface Usage {
  readonly used: number;
  readonly limit: number | undefined;
}

/** Facts that a process can read of itself and of the limits it runs under. */
export interface HostFacts {
  readonly arch: string;
  readonly runtime: string;
  readonly runtimeVersion: string;
  readonly rssBytes: number;
  readonly home: string;
  /** `undefined` where the system does not tell. */
  readonly openFiles: Usage | undefined;
  /** Tasks of this process's control group. */
  readonly tasks: Usage | undefined;
}

/** Reads the facts of the current process. */
export function hostFacts(): HostFacts {
  const { versions } = process;
  const runtime = versions['bun'] ? 'bun' : versions['deno'] ? 'deno' : 'node';
  return {
    arch: process.arch,
    runtime,
    runtimeVersion: versions[runtime] ?? process.version,
    rssBytes: process.memoryUsage.rss(),
    home: homedir(),
    openFiles: openFiles(),
    tasks: tasks(),
  };
}

/** Free bytes of a folder's file system; `undefined` where the system does not tell. */
export function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

function openFiles(): Usage | undefined {
  const limits = read('/proc/self/limits');
  const used = count('/proc/self/fd') ?? count('/dev/fd');
  if (used === undefined) return undefined;
  return { used, limit: limits === undefined ? undefined : parseOpenFilesLimit(limits) };
}

/** Reads the task limit; a container sees its own control group as the root. */
function tasks(): Usage | undefined {
  const group = /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1];
  if (group === undefined) return undefined;
  for (const folder of [`/sys/fs/cgroup${group}`, '/sys/fs/cgroup']) {
    const used = Number(read(`${folder}/pids.current`));
    const limit = Number(read(`${folder}/pids.max`));
    if (used > 0) return { used, limit: Number.isFinite(limit) && limit > 0 ? limit : undefined };
  }
  return undefined;
}

/** Reads the soft limit in `/proc/PID/limits`; `undefined` for none. */
function parseOpenFilesLimit(text: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function count(folder: string): number | undefined {
  try {
    // One of the descriptors is that of this listing.
    return readdirSync(folder).length - 1;
  } catch {
    return undefined;
  }
}
