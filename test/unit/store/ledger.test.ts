// A ledger is a real file that several owners write at once; each instance here is an owner of its own.
import { readdirSync } from 'node:fs';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Ledger } from '../../../src/store/ledger.ts';

let folder: string;
let path: string;
let warnings: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  path = join(folder, 'a.jsonl');
  warnings = [];
});
afterEach(() => rm(folder, { recursive: true }));

const open = (userId = process.getuid?.()) =>
  new Ledger<{ n: number }>({
    path,
    userId,
    parse: (value) =>
      typeof (value as { n?: unknown })?.n === 'number' ? (value as never) : undefined,
    warn: (message) => warnings.push(message),
  });
const numbers = (ledger: Ledger<{ n: number }>) => ledger.read().map(({ n }) => n);

describe('a ledger', () => {
  it('is empty without a file, and makes none by being read', async () => {
    expect(numbers(open())).toEqual([]);
    await expect(stat(path)).rejects.toThrow('ENOENT');
    expect(warnings).toEqual([]);
  });

  it('shows each owner what the others have written since', () => {
    const [a, b] = [open(), open()];
    a.append({ n: 1 });
    expect(numbers(b)).toEqual([1]);
    b.append({ n: 2 });
    a.append({ n: 3 });
    expect(numbers(a)).toEqual([1, 2, 3]);
    expect(numbers(b)).toEqual([1, 2, 3]);
  });

  it.runIf(process.platform === 'linux')('keeps no file open, whatever becomes of it', () => {
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const ledger = open();
    const ofAnother = open((process.getuid?.() ?? 0) + 1);
    for (let n = 0; n < 10; n++) {
      ledger.append({ n });
      ofAnother.append({ n });
      numbers(ledger);
      numbers(ofAnother);
    }
    expect(warnings).toHaveLength(1);
    expect(descriptors()).toBe(before);
  });

  it('says each time anew that it cannot be written, when it could in between', async () => {
    const ledger = open();
    for (let time = 0; time < 2; time++) {
      await mkdir(path);
      ledger.append({ n: 1 });
      ledger.append({ n: 1 });
      await rmdir(path);
      ledger.append({ n: 2 });
      await rm(path);
    }
    expect(warnings).toHaveLength(2);
  });

  it.skipIf(process.platform === 'win32')("is nobody else's to read", async () => {
    open().append({ n: 1 });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('skips a line that it cannot read, with a warning that names it', async () => {
    await writeFile(path, '{"n":1}\nnoise\n{"n":"x"}\n\n{"n":2}\n');
    const ledger = open();
    expect(numbers(ledger)).toEqual([1, 2]);
    expect(warnings).toEqual([
      `${path}:2: unreadable line skipped`,
      `${path}:3: unreadable line skipped`,
    ]);
    expect(numbers(ledger)).toEqual([1, 2]);
    expect(warnings).toHaveLength(2);
  });

  it('loses nothing to a torn last line', async () => {
    await writeFile(path, '{"n":1}\n{"n":');
    const ledger = open();
    expect(numbers(ledger)).toEqual([1]);
    ledger.append({ n: 2 });
    expect(numbers(ledger)).toEqual([1, 2]);
    expect(await readFile(path, 'utf8')).toBe('{"n":1}\n{"n":\n{"n":2}\n');
  });

  it('waits for the rest of a line that another is writing', async () => {
    const ledger = open();
    await writeFile(path, '{"n":');
    expect(numbers(ledger)).toEqual([]);
    await appendFile(path, '7}\n');
    expect(numbers(ledger)).toEqual([7]);
    expect(warnings).toEqual([]);
  });

  it('reads a file that was replaced or cut from its start', async () => {
    const ledger = open();
    await writeFile(path, '{"n":1}\n{"n":2}\n');
    expect(numbers(ledger)).toEqual([1, 2]);
    await writeFile(path, '{"n":3}\n');
    expect(numbers(ledger)).toEqual([3]);
    await rm(path);
    await writeFile(path, '{"n":4}\n{"n":5}\n');
    expect(numbers(ledger)).toEqual([4, 5]);
  });

  it('goes on in memory where it may not write, and says so once', async () => {
    await writeFile(join(folder, 'elsewhere'), '');
    await symlink(join(folder, 'elsewhere'), path);
    const ledger = open();
    ledger.append({ n: 1 });
    ledger.append({ n: 2 });
    expect(numbers(ledger)).toEqual([1, 2]);
    expect(warnings).toEqual([`${path} cannot be written; it goes on in memory`]);
    expect(await readFile(join(folder, 'elsewhere'), 'utf8')).toBe('');
  });

  it('never grows beyond what it would read again: the rest stays in memory, and is said', async () => {
    const line = `${'{"n":1}'.padEnd(2 ** 20 - 1)}\n`;
    const [a, b] = [open(), open()];
    for (let mebibyte = 0; mebibyte < 16; mebibyte++) await appendFile(path, line);
    const count = numbers(a).length;
    a.append({ n: 2 });
    expect(numbers(a).slice(count)).toEqual([2]);
    a.append({ n: 3 });
    expect(numbers(a).slice(count)).toEqual([2, 3]);
    expect(numbers(b)).toHaveLength(count);
    expect(warnings).toEqual([`${path} cannot be written; it goes on in memory`]);
  });

  it("trusts no other user's file", async () => {
    await writeFile(path, '{"n":1}\n');
    expect(numbers(open((process.getuid?.() ?? 0) + 1))).toEqual([]);
    expect(warnings).toEqual([`${path} cannot be read; it goes on in memory`]);
  });
});
