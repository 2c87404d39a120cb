// Files that only one caller gets; what several processes do at once is in the system lane.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeFile, takeIf } from '../../../src/store/exclusive.ts';

let folder: string;
let path: string;
let aside: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-exclusive-'));
  [path, aside] = [join(folder, 'file'), join(folder, 'aside')];
  writeFileSync(path, 'mine');
});
afterEach(() => rmSync(folder, { recursive: true }));

const says = (text: string) => (each: string) => readFileSync(each, 'utf8') === text;

describe('takeIf', () => {
  it('moves the file that is meant, once', () => {
    expect(takeIf(path, aside, says('mine'))).toBe(true);
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(aside, 'utf8')).toBe('mine');
    expect(takeIf(path, aside, says('mine'))).toBe(false);
  });

  it('leaves any other file where it is', () => {
    expect(takeIf(path, aside, says('another'))).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(existsSync(aside)).toBe(false);
  });

  it('puts a file back that has come in the place of the one that was meant', () => {
    // As if it came between the look and the move.
    const isIt = (each: string) => each === path;
    expect(takeIf(path, aside, isIt)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(existsSync(aside)).toBe(false);
  });

  it('puts nothing back over a file that is newer still', () => {
    const isIt = (each: string) => {
      if (each === aside) writeFileSync(path, 'newer');
      return each === path;
    };
    expect(takeIf(path, aside, isIt)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('newer');
    expect(existsSync(aside)).toBe(false);
  });
});

it('takeFile tells a second caller that it was too late', () => {
  takeFile(path);
  expect(() => takeFile(path)).toThrow('ENOENT');
});
