// What holds under which runtime: matrix.full.ts and wine.full.ts try it, and docs/runtimes.md says the same.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The runtimes of the matrix, in the order of the page's columns; Node 24 is what runs the tests. */
export const RUNTIMES = [
  ...(['node-22.12', 'node-22', 'node-24', 'node-26'] as const),
  ...(['bun-1.2.2', 'bun-current', 'deno'] as const),
] as const;
export type MatrixRuntime = (typeof RUNTIMES)[number];

/** Where a capability does not hold, and why; everywhere else it has to. */
type Exceptions<Runtime extends string> = Readonly<Partial<Record<Runtime, string>>>;

/** Tried in one host (test/fixtures/conformance/host.js). */
const IN_A_HOST = {
  'import and require': {},
  'exit report': {},
  'a missing program is named': {
    'bun-1.2.2': 'the launch fails there before it can tell why: `SPAWN_FAILED`',
  },
  'queueing in the pool': {},
  'the ladder up to SIGKILL': {},
  'leftovers of a process that ended by itself': {},
  'reaping a session': {},
  'wall clock of a session': {},
  limits: {},
  'abort by a signal': {},
  'environment cleaned': {},
  'empty arguments arrive': {},
  'the hook joins empty flags': {},
  'streaming through the hook': {},
  'events and their channels': {},
  'adopting a process': {},
  'a restart after a crash': {},
  service: {},
  daemon: {},
  'MCP transport': {},
  'doctor report': {},
  'stop()': {},
} as const satisfies Readonly<Record<string, Exceptions<MatrixRuntime>>>;

/** Tried from outside, on hosts that end or are ended. */
const OF_A_HOST = {
  'a finished host ends by itself': {},
  'host SIGKILLed: its guardian ends the tree within a second': {},
  'host calls process.exit: the same': {},
  'host throws: the same': {},
  'handleSignals: SIGTERM ends the tree, then the host': {},
  'host and guardian gone: the next host ends the tree': {},
  'the command: --version, ps': {},
  "a query of the Agent SDK's, with its real agent": {},
} as const satisfies Readonly<Record<string, Exceptions<MatrixRuntime>>>;

export const EXPECTED: Readonly<Record<Capability, Exceptions<MatrixRuntime>>> = {
  ...IN_A_HOST,
  ...OF_A_HOST,
};
export type Capability = keyof typeof IN_A_HOST | keyof typeof OF_A_HOST;
export const CAPABILITIES = Object.keys(EXPECTED) as Capability[];

/** What Node for Windows does under Wine (wine.full.ts): `''` where it holds, else why it does not. */
export const UNDER_WINE = {
  'exit report': '',
  'a missing program is named': '',
  'empty arguments arrive': '',
  'the hook joins empty flags': '',
  'a .cmd shim': '',
  'a .cmd shim in a folder with a blank':
    "Wine's `cmd.exe` takes the whole line for a name, where that of Windows undoes the caret before a blank",
  'environment cleaned': '',
  'queueing in the pool': '',
  'streaming through the hook': '',
  'the end of stdin as the polite signal': '',
  'the ladder, by force': '',
  'leftovers of a process that ended by itself': '',
  'reaping a session': '',
  'doctor report, with a guardian': '',
  'stop()': '',
  'host killed: its direct children end with it': '',
  'host killed: its guardian ends the rest':
    'the guardian needs PowerShell to find them; without it, it signals nobody',
} as const;
export type WindowsCapability = keyof typeof UNDER_WINE;

/** The page's table of Wine. */
export function wineTable(): string[] {
  const rows = Object.entries(UNDER_WINE).map(([name, reason]) => [
    name,
    cell(reason || undefined),
  ]);
  return tableOf(['', 'Node 22 for Windows, under Wine'], rows);
}

/** The page's table of the matrix, line by line. */
export function matrixTable(): string[] {
  const rows = CAPABILITIES.map((capability) => [
    capability,
    ...RUNTIMES.map((name) => cell(EXPECTED[capability][name])),
  ]);
  return tableOf(['', ...RUNTIMES.map(titleOf)], rows);
}

function tableOf(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [titles, titles.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

function cell(reason: string | undefined): string {
  return reason === undefined ? 'yes' : `no: ${reason}`;
}

/** As `Bun 1.4.5`. */
function titleOf(name: MatrixRuntime): string {
  const [program = ''] = name.split('-');
  return `${program[0]?.toUpperCase()}${program.slice(1)} ${versionOf(name)}`;
}

/** The version that is pinned. */
function versionOf(name: MatrixRuntime): string {
  const pinned =
    name === 'node-24'
      ? manifest('../../../package.json').devDependencies?.['node']
      : manifest('../../../kit/runtimes/package.json').dependencies?.[name];
  return pinned?.split('@').at(-1) ?? '';
}

function manifest(path: string): Manifest {
  return JSON.parse(readFileSync(join(import.meta.dirname, path), 'utf8'));
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
