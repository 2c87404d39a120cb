// The tables of listening sockets, as the systems print them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damaged } from '../../../kit/damage.ts';
import { runs } from '../../../kit/property.ts';
import {
  parseLsof,
  parseNetTcpConnections,
  parseProcNetTcp,
  parseProcNetUnix,
} from '../../../src/os/parse-listeners.ts';

const FUZZ = runs(500);

const TCP = `\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1001 1 0000000000000000 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000000000000000 100 0 0 10 0
   2: 0201A8C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1003 1 0000000000000000 100 0 0 10 0
   3: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1004 1 0000000000000000 100 0 0 10 0
   4: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 1005 1 0000000000000000 20 4 30 10 -1
   5: 0100007F:C350 0100007F:1F90 01 00000000:00000000 02:000002A7 00000000  1000        0 1006 2 0000000000000000 20 4 28 10 -1
 123: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 1007 1 0000000000000000 100 0 0 10 0
`;

const TCP6 = `\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2001 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2002 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2003 1 0000000000000000 100 0 0 10 0
   3: 000080FE00000000FF57A6705DC771FE:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2004 1 0000000000000000 100 0 0 10 0
   4: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C351 01 00000000:00000000 00:00000000 00000000  1000        0 2005 1 0000000000000000 20 4 30 10 -1
`;

const inodes = (sockets: readonly { readonly inode: string }[]) =>
  sockets.map(({ inode }) => inode);

describe('parseProcNetTcp', () => {
  it('finds listeners on the port, at loopback and wildcard addresses', () => {
    expect(parseProcNetTcp(TCP, 8080)).toEqual([
      { inode: '1001', uid: 1000 },
      { inode: '1002', uid: 0 },
    ]);
    expect(inodes(parseProcNetTcp(TCP6, 8080))).toEqual(['2001', '2002', '2003']);
  });

  it('finds listeners at every address with anyAddress', () => {
    expect(inodes(parseProcNetTcp(TCP, 8080, { anyAddress: true }))).toEqual([
      ...['1001', '1002', '1003'],
    ]);
    expect(inodes(parseProcNetTcp(TCP6, 8080, { anyAddress: true }))).toHaveLength(4);
  });

  it.each([
    [8081, ['1004']],
    [80, ['1007']],
    // Neither end of a connection is a listener.
    [50_000, []],
    [1, []],
  ])('finds at port %d the sockets %j', (port, expected) => {
    expect(inodes(parseProcNetTcp(TCP, port))).toEqual(expected);
  });
});

const UNIX = `\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 3001 /run/app.sock
0000000000000000: 00000003 00000000 00000000 0001 03 3002 /run/app.sock
0000000000000000: 00000002 00000000 00010000 0001 01 3003 @abstract@name
0000000000000000: 00000002 00000000 00010000 0001 01   17 /run/with blank .sock
ffff8881023c4400: 00000002 00000000 00010000 0005 01 3005 /run/seqpacket
0000000000000000: 00000002 00000000 00000000 0002 01 3006 /run/datagram
0000000000000000: 00000003 00000000 00000000 0001 03 3007
`;

describe('parseProcNetUnix', () => {
  it.each([
    ['/run/app.sock', ['3001']],
    ['@abstract@name', ['3003']],
    ['/run/with blank .sock', ['17']],
    ['/run/seqpacket', ['3005']],
    ['/run/datagram', []],
    ['', []],
  ])('finds listeners at %j', (name, expected) => {
    expect(inodes(parseProcNetUnix(UNIX, (printed) => printed === name))).toEqual(expected);
  });
});

describe('parseLsof', () => {
  it('reads processes one after the other, whatever their fields', () => {
    const text = 'p123\ncnode\nu501\nf23\nf24\np4\ncGoogle Chrome He\nu0\nf1\np77\nf1\n';
    expect(parseLsof(text)).toEqual([
      { pid: 123, command: 'node', uid: 501 },
      { pid: 4, command: 'Google Chrome He', uid: 0 },
      { pid: 77, command: '' },
    ]);
  });

  it('returns nothing for an empty output', () => {
    expect(parseLsof('')).toEqual([]);
    expect(parseLsof('cnode\nu501\npx\n')).toEqual([]);
  });
});

describe('parseNetTcpConnections', () => {
  it('reads each process once, with or without a name', () => {
    expect(parseNetTcpConnections('\uFEFF4412 node\r\n4412 node\r\n4 \r\n5\r\nnoise\r\n')).toEqual([
      { pid: 4412, command: 'node' },
      { pid: 4, command: '' },
      { pid: 5, command: '' },
    ]);
  });
});

it('no damaged listing makes a parser throw, or invent a socket or a process', () => {
  const listing = damaged(
    fc.constantFrom(TCP, TCP6, UNIX, 'p12\ncnode\nu501\n', '12 node\r\n4 \r\n'),
  );
  fc.assert(
    fc.property(listing, fc.nat(65_535), fc.boolean(), (bytes, port, anyAddress) => {
      const text = bytes.toString('latin1');
      const numbers = new Set(text.match(/\d+/g)?.map(Number));
      const sockets = [
        ...parseProcNetTcp(text, port, { anyAddress }),
        ...parseProcNetTcp(text, 0x1f90, { anyAddress }),
        ...parseProcNetUnix(text, () => true),
      ];
      for (const { inode } of sockets) expect(text).toContain(` ${inode}`);
      for (const { pid } of [...parseLsof(text), ...parseNetTcpConnections(text)])
        expect(numbers).toContain(pid);
    }),
    FUZZ,
  );
});
