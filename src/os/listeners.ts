import { closeSync, open, read, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { builtin } from './builtin.ts';
import { type Clock, sliced } from './clock.ts';
import { output } from './darwin.ts';
import { listPids, readStat } from './linux.ts';
import type { Endpoint, Listener, Os } from './os.ts';
import {
  type ListeningSocket,
  parseLsof,
  parseNetTcpConnections,
  parseProcNetTcp,
  parseProcNetUnix,
} from './parse-listeners.ts';
import { query } from './windows.ts';

type FindListeners = NonNullable<Os['listeners']>;

/** Errors of `/proc` for a process that has exited, or is another user's. */
const HIDDEN: ReadonlySet<unknown> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR']);

const isPort = (port: number): boolean => Number.isInteger(port) && port > 0 && port < 65_536;

/**
 * Finds listeners on Linux, from `/proc/net` and the descriptors of processes. It sees only the
 * network namespace of this host.
 *
 * Most of its time is the kernel's, which walks all connections per table: 2 ms each on a machine
 * with much memory, off the event loop.
 */
export function linuxListeners(clock: Clock): FindListeners {
  return async (endpoint, among) => {
    const found: Listener[] = [];
    let isTold = false;
    try {
      for (const name of 'socket' in endpoint ? ['unix'] : ['tcp', 'tcp6']) {
        const sockets = await listeningSockets(name, endpoint);
        isTold ||= sockets !== undefined;
        if (sockets === undefined || sockets.length === 0) continue;
        const pids = among ?? listPids().map(Number);
        found.push(...(await holdersOf(sockets, pids, clock)));
        // One of `among` is enough, and the next table costs time.
        if (among !== undefined && found.some(({ pid }) => pid !== undefined)) break;
      }
    } catch {
      // Without a free file descriptor nothing can be told.
      return undefined;
    }
    return isTold ? found : undefined;
  };
}

async function listeningSockets(
  table: string,
  endpoint: Endpoint,
): Promise<ListeningSocket[] | undefined> {
  if ('port' in endpoint && !isPort(endpoint.port)) return [];
  const text = await readTable(`/proc/net/${table}`).catch((error) => {
    // A kernel without IPv6 has no such table.
    if (HIDDEN.has(error.code)) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  if ('socket' in endpoint) return parseProcNetUnix(text, isNamed(endpoint.socket));
  return parseProcNetTcp(text, endpoint.port, { anyAddress: endpoint.host !== undefined });
}

/** A kernel page less the longest possible line: a shorter read contains the last line. */
const WHOLE_BYTES = 4096 - 512;
/**
 * Matches the first connected socket; the listening ones come before it. Before Linux 4.4 half-open
 * ones may stand among them.
 */
const CONNECTION = /^ *\d+: \S+ \S+ (?!0A|03)[0-9A-F]{2} /m;

/**
 * Reads a table up to the end of the listening sockets. For each read, even the last one, the
 * kernel walks all of its connections.
 */
async function readTable(path: string): Promise<string> {
  const { promisify } = builtin('node:util');
  const fd = await promisify(open)(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    for (let text = ''; ; ) {
      const { bytesRead } = await promisify(read)(fd, buffer, 0, buffer.length, null);
      text += buffer.toString('latin1', 0, bytesRead);
      if (bytesRead < WHOLE_BYTES || CONNECTION.test(text)) return text;
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * True if a socket was bound to this path. For a relative path the binder's folder is unknown, so
 * only the base name is compared.
 */
function isNamed(socket: string): (printed: string) => boolean {
  const isAbstract = socket.startsWith('\0') || socket.startsWith('@');
  const wanted = isAbstract ? socket.replaceAll('\0', '@') : realPath(resolve(socket));
  return (printed) => {
    // The table was decoded as Latin-1.
    const name = Buffer.from(printed, 'latin1').toString();
    if (isAbstract || name.startsWith('@')) return name === wanted;
    if (basename(name) !== basename(wanted)) return false;
    return !isAbsolute(name) || realPath(name) === wanted;
  };
}

/** Resolves the links in a path; its last part need not exist. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

async function holdersOf(
  sockets: readonly ListeningSocket[],
  pids: readonly number[],
  clock: Clock,
): Promise<Listener[]> {
  const wanted = new Map(sockets.map((socket) => [`socket:[${socket.inode}]`, socket]));
  const held = new Set<string>();
  const listeners: Listener[] = [];
  const rest = sliced(clock);
  for (const pid of pids) {
    const links = new Set<string>();
    for (const fd of descriptorsOf(pid)) {
      const link = linkOf(`/proc/${pid}/fd/${fd}`);
      if (wanted.has(link)) links.add(link);
      await rest();
    }
    for (const link of links) {
      held.add(link);
      const command = readStat(pid)?.command ?? '';
      listeners.push({ pid, command, uid: wanted.get(link)?.uid });
    }
  }
  const unseen = [...wanted].filter(([link]) => !held.has(link));
  const strangers = unseen.map(([, { uid }]) => ({ pid: undefined, command: '', uid }));
  return [...listeners, ...strangers];
}

function descriptorsOf(pid: number): string[] {
  return whereShown(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
}

function linkOf(path: string): string {
  return whereShown(() => readlinkSync(path)) ?? '';
}

function whereShown<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (HIDDEN.has((error as NodeJS.ErrnoException).code)) return undefined;
    throw error;
  }
}

/**
 * Finds listeners on macOS, with `/usr/sbin/lsof`; without root it shows only the user's own
 * processes.
 */
export const darwinListeners: FindListeners = async (endpoint) => {
  if ('port' in endpoint && !isPort(endpoint.port)) return [];
  const where =
    'port' in endpoint
      ? ['-nP', `-iTCP:${endpoint.port}`, '-sTCP:LISTEN', '-Fpcu']
      : ['-Fpcu', '--', endpoint.socket];
  try {
    return parseLsof(await output('/usr/sbin/lsof', where));
  } catch (error) {
    // lsof also exits with 1 when it finds nothing.
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    return code === 1 && stderr === '' ? parseLsof(stdout ?? '') : undefined;
  }
};

/** Finds listeners on Windows, with one PowerShell query; it cannot tell about pipes. */
export const windowsListeners: FindListeners = async (endpoint) => {
  if ('socket' in endpoint) return undefined;
  const { port } = endpoint;
  if (!isPort(port)) return [];
  const script = [
    // `-LocalPort` fails where nobody listens, which would look like a failed query.
    `$ErrorActionPreference = 'Stop'; Get-NetTCPConnection -State Listen | `,
    `Where-Object LocalPort -eq ${port} | ForEach-Object { '{0} {1}' -f $_.OwningProcess, `,
    '(Get-Process -Id $_.OwningProcess -ErrorAction SilentlyContinue).ProcessName }; exit 0',
  ].join('');
  try {
    return parseNetTcpConnections(await query(script));
  } catch {
    return undefined;
  }
};
