import type { Listener } from './os.ts';

/** A listening socket of Linux. */
export interface ListeningSocket {
  /** Its number in the links of `/proc/PID/fd`. */
  readonly inode: string;
  readonly uid: number | undefined;
}

/**
 * The addresses at which a loopback client is answered: any, 127.0.0.1, ::1, ::ffff:127.0.0.1.
 * Written as the kernel prints them on little- and big-endian machines.
 */
const ANSWERS_LOOPBACK =
  /^(?:0+|0100007F|7F000001|0{24}01000000|0{31}1|0{16}FFFF00000100007F|0{20}FFFF7F000001)$/;

/**
 * Reads the sockets in `/proc/net/tcp` or `tcp6` that listen (state 0A) at this port. Includes
 * those at a loopback or wildcard address; with `anyAddress`, at every address.
 */
export function parseProcNetTcp(
  text: string,
  port: number,
  { anyAddress = false } = {},
): ListeningSocket[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const row = new RegExp(
    `^ {0,8}\\d{1,10}: ([\\dA-F]{8,32}):${hexPort} [\\dA-F]{8,32}:0000 0A (?:\\S{1,32} ){3} {0,10}(\\d{1,10}) {1,10}\\d{1,10} (\\d{1,20})(?= |$)`,
    'gm',
  );
  return Array.from(text.matchAll(row))
    .filter(([, address = '']) => anyAddress || ANSWERS_LOOPBACK.test(address))
    .map(([, , uid, inode = '']) => ({ inode, uid: Number(uid) }));
}

/** `Num: RefCount Protocol Flags Type St Inode Path`; ACCEPTS_CONNECTIONS is one of the flags. */
const UNIX_ROW =
  /^[\da-f]{1,16}: [\dA-F]{8} [\dA-F]{8} ([\dA-F]{8}) [\dA-F]{4} [\dA-F]{2} {1,10}(\d{1,20}) (.+)$/gim;
const ACCEPTS_CONNECTIONS = 0x10000;

/**
 * Reads the sockets in `/proc/net/unix` that listen under a wanted name. The kernel prints each
 * NUL, and so the first character of an abstract name, as `@`.
 */
export function parseProcNetUnix(
  text: string,
  isWanted: (name: string) => boolean,
): ListeningSocket[] {
  return Array.from(text.matchAll(UNIX_ROW))
    .filter(([, flags = '']) => (Number.parseInt(flags, 16) & ACCEPTS_CONNECTIONS) !== 0)
    .filter(([, , , name = '']) => isWanted(name))
    .map(([, , inode = '']) => ({ inode, uid: undefined }));
}

/**
 * Reads the output of `lsof -Fpcu`: one field a line, named by its first letter; `p` begins a
 * process.
 */
export function parseLsof(text: string): Listener[] {
  const listeners: { pid: number; command: string; uid?: number }[] = [];
  for (const line of text.split('\n')) {
    const [field, value] = [line[0], line.slice(1)];
    const last = listeners.at(-1);
    if (field === 'p' && /^\d{1,10}$/.test(value))
      listeners.push({ pid: Number(value), command: '' });
    else if (field === 'c' && last) last.command = value;
    else if (field === 'u' && last && /^\d{1,10}$/.test(value)) last.uid = Number(value);
  }
  return listeners;
}

/** Reads rows of `OwningProcess Name` from Windows, each process once. */
export function parseNetTcpConnections(text: string): Listener[] {
  const listeners = new Map<number, Listener>();
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const [, pid, command = ''] = /^(\d{1,10})(?: (.*))?$/.exec(line) ?? [];
    if (pid !== undefined) listeners.set(Number(pid), { pid: Number(pid), command });
  }
  return [...listeners.values()];
}
