// The folders of src and the arrows between them, read by dependency-cruiser.
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installOnce } from './install-once.ts';

const FOLDER = join(import.meta.dirname, 'architecture');

/** The folders of the core, lowest first: an import leads down, or stays in its folder. */
const LEVELS = [
  ...[['os'], ['tree'], ['store'], ['claude-code', 'ready'], ['policy'], ['containment']],
  ...[['process'], ['supervisor']],
] as const;

/** The folders that users import or run by name, and those that each reaches beside the main entry. */
const REACH = {
  claude: ['os', 'store', 'process'],
  cli: ['os', 'tree', 'store', 'containment'],
  daemon: ['os', 'tree', 'store', 'ready', 'policy', 'containment', 'process'],
  doctor: ['os', 'process'],
  inspect: ['os', 'tree', 'store', 'policy', 'containment', 'process'],
  mcp: ['os', 'policy', 'process'],
  otel: ['os'],
  service: ['os', 'tree', 'store', 'ready', 'policy', 'containment'],
  testing: ['os', 'policy', 'ready', 'tree'],
} as const;

const SURFACES = Object.keys(REACH);

/** Every folder that src may have. */
export const FOLDERS: readonly string[] = [...LEVELS.flat(), ...SURFACES];

/** The surfaces that show the state of the others. */
const READERS = ['cli', 'doctor', 'otel'];

/** Modules that decide and do nothing: tables and properties of the tests run on them. */
export const DECIDING_MODULES = [
  'src/claude-code/agent-request.ts',
  'src/claude-code/arguments.ts',
  'src/claude-code/conversation-flags.ts',
  'src/claude/spending.ts',
  'src/os/parse-listeners.ts',
  'src/os/parse.ts',
  'src/policy/budget.ts',
  'src/policy/conversation-rules.ts',
  'src/policy/restart-policy.ts',
  'src/policy/spawn-rate.ts',
  'src/process/environment.ts',
  'src/store/formats.ts',
  'src/store/pid-record.ts',
  'src/tree/cookie.ts',
  'src/tree/exit-cause.ts',
  'src/tree/identity.ts',
  'src/tree/ladder.ts',
  'src/tree/tree.ts',
] as const;

interface Rule {
  readonly name: string;
  readonly from: Readonly<Record<string, unknown>>;
  readonly to: Readonly<Record<string, unknown>>;
}

const WORDS = String.raw`^src/(errors|events|reports|check)\.ts$`;
const INDEX = String.raw`^src/index\.ts$`;
const NODE = `^(node:)?(${builtinModules.join('|')})$`;

const inside = (folders: readonly string[]): string => `^src/(${folders.join('|')})/`;
const exactly = (paths: readonly string[]): string =>
  `^(${paths.map((path) => path.replaceAll('.', String.raw`\.`)).join('|')})$`;

const levelRules = LEVELS.map((folders, level): Rule => {
  const above = [...LEVELS.slice(level + 1).flat(), ...SURFACES];
  return {
    name: `${folders.join(' and ')} import what is below`,
    from: { path: inside(folders) },
    to: { path: [inside(above), INDEX] },
  };
});

const surfaceRules = Object.entries(REACH).map(([surface, reached]): Rule => {
  const others = LEVELS.flat().filter((folder) => !(reached as readonly string[]).includes(folder));
  return {
    name: `${surface} imports the folders that it names`,
    from: { path: inside([surface]) },
    to: { path: inside(others), pathNot: String.raw`^src/supervisor/internals\.ts$` },
  };
});

/** Rules for imports of every kind, those of types included. */
const ARROWS: readonly Rule[] = [
  { name: 'no circle', from: {}, to: { circular: true } },
  {
    name: 'words import words',
    from: { path: WORDS },
    to: { path: '^src/', pathNot: WORDS },
  },
  ...levelRules,
  ...surfaceRules,
  {
    name: 'the main entry imports no surface',
    from: { path: INDEX },
    to: { path: inside(SURFACES) },
  },
  {
    name: 'a surface imports no other, but what inspect reads',
    from: { path: inside(SURFACES) },
    to: { path: inside(SURFACES), pathNot: ['^src/$1/', '^src/inspect/'] },
  },
  {
    name: 'inspect is read by those that show',
    from: { path: '^src/', pathNot: inside([...READERS, 'inspect']) },
    to: { path: '^src/inspect/' },
  },
  {
    name: 'every import leads somewhere',
    from: { path: '^src/' },
    to: { couldNotResolve: true },
  },
  {
    name: 'only os touches the system',
    from: { path: '^src/', pathNot: '^src/os/' },
    to: {
      path: '^(node:)?(child_process|process)$|node_modules/(execa|pidusage|tree-kill)/',
      dependencyTypesNot: ['type-only'],
    },
  },
];

/** Rules for what is there at run time. */
const AT_RUN_TIME: readonly Rule[] = [
  {
    name: 'a deciding module reaches nothing of Node',
    from: { path: exactly(DECIDING_MODULES) },
    to: { path: NODE, reachable: true },
  },
];

interface Cruiser {
  cruise(paths: string[], options: object): Promise<{ output: { summary: Summary } }>;
}
interface Summary {
  readonly violations: readonly { from: string; to: string; rule: { name: string } }[];
  readonly totalDependenciesCruised: number;
}

/** Loads the reader of imports. Call it at the top level of a test file: it may install. */
export async function importReader(): Promise<Cruiser> {
  await installOnce(FOLDER, ['--ignore-scripts']);
  const entry = join(FOLDER, 'node_modules/dependency-cruiser/src/main/index.mjs');
  return (await import(pathToFileURL(entry).href)) as Cruiser;
}

/** Finds the imports in a project's `src` that break a rule, and counts those read. */
export async function readArrows(
  { cruise }: Cruiser,
  root: string,
): Promise<{ violations: string[]; imports: number }> {
  const read = async (forbidden: readonly Rule[], tsPreCompilationDeps: boolean) => {
    const ruleSet = { forbidden: forbidden.map((rule) => ({ ...rule, severity: 'error' })) };
    const { output } = await cruise(['src'], {
      ...{ baseDir: root, validate: true, ruleSet, tsPreCompilationDeps },
      ...{
        doNotFollow: 'node_modules',
        exoticRequireStrings: ['builtin', 'process.getBuiltinModule'],
      },
      enhancedResolveOptions: { conditionNames: ['import', 'node'], exportsFields: ['exports'] },
    });
    return output.summary;
  };
  const all = await read(ARROWS, true);
  const atRunTime = await read(AT_RUN_TIME, false);
  const violations = [...all.violations, ...atRunTime.violations].map(
    ({ from, to, rule }) => `${rule.name}: ${from} -> ${to}`,
  );
  return { violations, imports: all.totalDependenciesCruised };
}
