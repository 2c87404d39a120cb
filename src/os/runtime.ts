import { createReadStream } from 'node:fs';
import { builtin } from './builtin.ts';

/** The program that runs this host, for scripts of this package. */
export function runtimePath(): string {
  return process.execPath;
}

/** The Electron program that runs this host: an application, unless it is told to act as Node. */
export function electronPath(): string | undefined {
  return process.versions['electron'] === undefined ? undefined : process.execPath;
}

/** The first Node version that can `require` an ES module and has all APIs in use. */
const OLDEST_NODE = [22, 12] as const;

/** The reason why this runtime cannot start processes, with advice; `undefined` if it can. */
export function whyTooOld(versions: NodeJS.ProcessVersions = process.versions): string | undefined {
  const { bun, deno } = versions;
  // Bun and Deno also report a Node version.
  if (deno !== undefined) return undefined;
  // execa imports it by name: no old Bun can load it.
  if (bun !== undefined && !('addAbortListener' in builtin('node:events')))
    return `agent-supervisor starts nothing under Bun ${bun}: use Bun 1.2.2 or later, or Node.`;
  if (bun !== undefined) return undefined;
  const [major = 0, minor = 0] = versions.node.split('.').map(Number);
  const [least, leastMinor] = OLDEST_NODE;
  if (major > least || (major === least && minor >= leastMinor)) return undefined;
  return `agent-supervisor starts nothing under Node ${versions.node}: it needs ${least}.${leastMinor} or later. Run this host with a newer Node, with Bun or with Deno.`;
}

/** The test runner of this process, as far as the process tells. */
export type TestRunner =
  | { readonly name: 'vitest' }
  /** `file`: the test file; `undefined` in the process that only starts the others. */
  | { readonly name: 'node:test'; readonly file: string | undefined };

export function testRunner(): TestRunner {
  const { env, execArgv, argv } = process;
  if (env['VITEST'] !== undefined) return { name: 'vitest' };
  const isStarter = execArgv.includes('--test') && !execArgv.includes('--test-isolation=none');
  const runsTests = env['NODE_TEST_CONTEXT'] !== undefined || !isStarter;
  return { name: 'node:test', file: runsTests ? (argv[1] ?? '') : undefined };
}

/** The globals of the other runtimes. */
interface Runtimes {
  readonly Bun?: { readonly main: string };
  readonly Deno?: { readonly build: { readonly standalone?: boolean } };
}

/**
 * The reason why this host's program is an application that runs no script; `undefined` for a
 * runtime.
 */
export async function whyRuntimeIsApplication(): Promise<string | undefined> {
  const { Bun, Deno } = globalThis as Runtimes;
  const { electron } = process.versions;
  if (electron !== undefined)
    return (await readRunAsNode(process.execPath)) === 'on'
      ? undefined
      : 'This Electron application does not run as Node (its fuse RunAsNode is off)';
  // The path where `bun build --compile` keeps the sources (measured; for Windows from Bun's
  // sources).
  if (Bun !== undefined && /^(?:\/\$bunfs\/|[A-Z]:[/\\]~BUN[/\\])/.test(Bun.main))
    return 'This host was made by bun build --compile';
  if (Deno?.build.standalone === true) return 'This host was made by deno compile';
  const isSingleExecutable = builtin('node:sea')?.isSea() === true || 'pkg' in process;
  return isSingleExecutable ? 'This host is a single executable application' : undefined;
}

/**
 * Precedes Electron's fuses in its program: a version, their number, one byte each
 * (electron/fuses).
 */
const FUSES = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
const RUN_AS_NODE = FUSES.length + 2;

/**
 * Reads the fuse that lets `ELECTRON_RUN_AS_NODE` turn an Electron program into Node; `unknown`
 * without fuses.
 */
async function readRunAsNode(program: string): Promise<'on' | 'off' | 'unknown'> {
  let rest = Buffer.alloc(0);
  // In slices: such a program has 200 MB.
  for await (const chunk of createReadStream(program, { highWaterMark: 1024 * 1024 })) {
    const bytes = Buffer.concat([rest, chunk as Buffer]);
    const at = bytes.indexOf(FUSES);
    if (at >= 0 && at + RUN_AS_NODE < bytes.length)
      return String.fromCharCode(bytes[at + RUN_AS_NODE] ?? 0) === '1' ? 'on' : 'off';
    rest = bytes.subarray(at >= 0 ? at : Math.max(0, bytes.length - FUSES.length));
  }
  return 'unknown';
}
