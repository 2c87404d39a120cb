import { posix } from 'node:path';
import { countCodeLines, maskSource } from './source-text.ts';

/** The sources of a package: text by path, relative to `src/`, with forward slashes. */
export type Sources = ReadonlyMap<string, string>;

/** `value` imports exist at run time (dynamic ones and `require` too); `type` imports are erased. */
export type ImportKind = 'value' | 'type';

export interface Import {
  readonly kind: ImportKind;
  readonly specifier: string;
}

export interface Edge {
  readonly from: string;
  /** A path in the sources, or the name of a module outside them (`node:fs`, `zod`). */
  readonly to: string;
  readonly kind: ImportKind;
}

export interface ImportGraph {
  readonly sources: Sources;
  readonly edges: readonly Edge[];
}

const TYPE_ONLY = /^\s*type\s+[\w$*{]/;
const STATEMENT =
  /(?<![\w$.])(?:import\s*|(?:import|export)(?<clause>\s*(?:type\s+)?(?:[\w$*][\w$*\s,]*)?(?:\{[^}]*\})?)\s*\bfrom\s*)(?<quote>["'])(?<specifier>_*)\k<quote>/dg;
const CALL =
  /(?<before>typeof\s+)?(?<![\w$.])(?:import|require|getBuiltinModule|builtin)\s*\(\s*(?<quote>["'])(?<specifier>_*)\k<quote>\s*\)(?<after>\s*\.\s*[\w$]+)?/dg;
const BUILTIN_CALL = /getBuiltinModule\s*\(\s*(?<quote>["'])(?<specifier>_*)\k<quote>/dg;

/** Finds what one file imports, in the order of the text. */
export function parseImports(source: string): Import[] {
  const masked = maskSource(source);
  const found: (Import & { at: number })[] = [];
  const add = (match: RegExpMatchArray, kind: ImportKind): void => {
    const [start, end] = match.indices?.groups?.['specifier'] ?? [0, 0];
    const specifier = source.slice(start, end);
    if (found.every((known) => known.at !== start)) found.push({ at: start, kind, specifier });
  };
  for (const match of masked.matchAll(STATEMENT)) {
    // `import { type X }` keeps its module at run time under verbatimModuleSyntax.
    add(match, TYPE_ONLY.test(match.groups?.['clause'] ?? '') ? 'type' : 'value');
  }
  for (const match of masked.matchAll(CALL)) add(match, isTypeQuery(match) ? 'type' : 'value');
  for (const match of masked.matchAll(BUILTIN_CALL)) add(match, 'value');
  return found.sort((a, b) => a.at - b.at).map(({ kind, specifier }) => ({ kind, specifier }));
}

/** `import('x').Name` names a type: the value there is a promise, and has only promise methods. */
function isTypeQuery(match: RegExpMatchArray): boolean {
  if (!match[0].replace(/^typeof\s+/, '').startsWith('import')) return false;
  const member = match.groups?.['after']?.replace(/[\s.]/g, '');
  if (match.groups?.['before'] !== undefined) return true;
  return member !== undefined && !['then', 'catch', 'finally'].includes(member);
}

/** Builds the graph; relative imports are resolved against the sources. */
export function buildGraph(sources: Sources): ImportGraph {
  const edges: Edge[] = [];
  for (const [from, source] of sources) {
    for (const { kind, specifier } of parseImports(source)) {
      const to = specifier.startsWith('.')
        ? posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts')
        : specifier;
      edges.push({ from, to, kind });
    }
  }
  return { sources, edges };
}

/** The folders of the house, from the one that composes to the one that touches the system. */
const SURFACES = [
  'claude',
  'mcp',
  'service',
  'daemon',
  'doctor',
  'otel',
  'testing',
  'cli',
] as const;
const STATIONS = ['admission', 'spawn', 'ownership', 'limits', 'tree', 'termination'] as const;
const SUPERVISOR_FILES = [
  'index.ts',
  'supervisor.ts',
  'singleton.ts',
  'replace-options.ts',
] as const;
const WORD_FILES = ['errors.ts', 'reports.ts', 'events.ts', 'options.ts', 'validation.ts'] as const;

/** Where a file of `src/` lives; `words` are the root files that every station may import. */
export type Layer = 'surface' | 'supervisor' | 'station' | 'words' | 'os';

/** The layer of a path in the sources, or `undefined` when the house has no such place. */
export function layerOf(path: string): Layer | undefined {
  const [folder = '', ...rest] = path.split('/');
  if (rest.length === 0) {
    if (includes(SUPERVISOR_FILES, path)) return 'supervisor';
    return includes(WORD_FILES, path) ? 'words' : undefined;
  }
  if (folder === 'os') return 'os';
  if (includes(STATIONS, folder)) return 'station';
  return includes(SURFACES, folder) ? 'surface' : undefined;
}

function includes(list: readonly string[], item: string): boolean {
  return list.includes(item);
}

const MAY_IMPORT: Readonly<Record<Layer, readonly Layer[]>> = {
  surface: ['surface', 'supervisor', 'station', 'words', 'os'],
  supervisor: ['supervisor', 'station', 'words', 'os'],
  station: ['station', 'words', 'os'],
  // options.ts merges the stations' schemas, events.ts names what they report.
  words: ['words', 'station', 'os'],
  os: ['os', 'words'],
};

function isInternal(graph: ImportGraph, edge: Edge): boolean {
  return graph.sources.has(edge.to);
}

function describe(edge: Edge): string {
  return `${edge.from} -> ${edge.to}${edge.kind === 'type' ? ' (type)' : ''}`;
}

/** Files that are in no folder of the house, and relative imports that lead nowhere. */
export function findStrays(graph: ImportGraph): string[] {
  const homeless = [...graph.sources.keys()].filter((path) => layerOf(path) === undefined);
  const dangling = graph.edges.filter(
    (edge) => /\.(ts|js|json)$/.test(edge.to) && !isInternal(graph, edge),
  );
  return [...homeless, ...dangling.map(describe)];
}

/** Imports, of values or types, against the arrows surfaces → supervisor → stations → os. */
export function findWrongArrows(graph: ImportGraph): string[] {
  return graph.edges
    .filter((edge) => {
      const from = layerOf(edge.from);
      const to = layerOf(edge.to);
      if (!isInternal(graph, edge) || from === undefined || to === undefined) return false;
      return !MAY_IMPORT[from].includes(to);
    })
    .map(describe);
}

/** Value imports of a station from a later one; `tree` and `termination` excepted, which stand below them. */
export function findLaterStations(graph: ImportGraph): string[] {
  const order = (path: string): number =>
    STATIONS.findIndex((station) => path.startsWith(`${station}/`));
  return graph.edges
    .filter((edge) => {
      if (edge.kind === 'type' || order(edge.from) === -1) return false;
      return order(edge.to) > order(edge.from) && !/^(?:tree|termination)\//.test(edge.to);
    })
    .map(describe);
}

const SYSTEM_MODULES = [
  'node:child_process',
  'child_process',
  'node:process',
  'process',
  'execa',
  'pidusage',
  'tree-kill',
];

/** What only the global `process` has, and no supervised process or record of one. */
const GLOBAL_PROCESS_ONLY =
  /(?<![\w$.#])process\s*\??\.\s*(?:abort|arch|argv0?|binding|chdir|config|cwd|cpuUsage|emit|emitWarning|env|execArgv|execPath|exit|getBuiltinModule|getegid|geteuid|getgid|getuid|hrtime|listenerCount|listeners|loadEnvFile|memoryUsage|nextTick|platform|ppid|prependListener|release|report|resourceUsage|umask|uptime|version|versions)\b/;
const ANY_PROCESS = /(?<![\w$.#])process\s*(?:\?\.|\.|\[)/;
const SHADOWED_PROCESS =
  /(?<![\w$.])(?:const|let|var)\s+process\b|[(,]\s*process\s*[?,:)=]|(?<![\w$.])process\s*=>|\{[^{};]*\bprocess\b[^{};]*\}\s*(?:=[^=]|\)\s*=>|:)/;
const GLOBAL_OBJECT_PROCESS =
  /globalThis\s*(?:\?\.|\.)\s*process\b|global\s*\.\s*process\b|globalThis\s*\[/;
const CLOCK =
  /(?<![\w$.])(?:Date\s*\.\s*now\b|performance\s*\.\s*now\b|(?:setTimeout|setInterval)\s*\(|new\s+Date\s*\(\s*\))/;

/** Files outside `os/` that import a system module (a type of it is no access), or use the global `process` or the clock. */
export function findSystemAccess(graph: ImportGraph): string[] {
  const outside = (path: string): boolean => layerOf(path) !== 'os';
  const imports = graph.edges.filter(
    (edge) => edge.kind === 'value' && outside(edge.from) && SYSTEM_MODULES.includes(edge.to),
  );
  const uses: string[] = [];
  for (const [path, source] of graph.sources) {
    if (!outside(path)) continue;
    const code = maskSource(source);
    // Where `process` is also the name of a parameter or variable, only members that tell the
    // global from a supervised process count here; Biome's scope-aware rule sees the others.
    const isProcess = SHADOWED_PROCESS.test(code) ? GLOBAL_PROCESS_ONLY : ANY_PROCESS;
    if (isProcess.test(code) || GLOBAL_OBJECT_PROCESS.test(code)) {
      uses.push(`${path} uses the global process`);
    }
    if (CLOCK.test(code)) uses.push(`${path} uses the clock`);
  }
  return [...imports.map(describe), ...uses];
}

/** Modules that decide and do nothing: the tables and properties of the tests run on them. */
export const DECIDING_MODULES = [
  'admission/budget.ts',
  'admission/conversation.ts',
  'admission/rate.ts',
  'admission/restart.ts',
  'claude/spending.ts',
  'os/parse-listeners.ts',
  'os/parse.ts',
  'ownership/cookie.ts',
  'ownership/identity.ts',
  'ownership/pid-record.ts',
  'ownership/record.ts',
  'spawn/arguments.ts',
  'spawn/environment.ts',
  'termination/exit.ts',
  'termination/ladder.ts',
  'termination/tree.ts',
] as const;

/** Deciding modules that import `node:*`, themselves or through what they import at run time. */
export function findImpureDeciders(
  graph: ImportGraph,
  deciders: readonly string[] = DECIDING_MODULES,
): string[] {
  const own = graph.edges.filter((edge) => deciders.includes(edge.from) && isNode(edge.to));
  const inherited = deciders.flatMap((decider) =>
    [...reachableFrom(graph, decider, (edge) => edge.kind === 'value')]
      .filter((path) => path !== decider)
      .flatMap((path) =>
        graph.edges.filter(
          (edge) => edge.from === path && edge.kind === 'value' && isNode(edge.to),
        ),
      )
      .map((edge) => `${decider} reaches ${describe(edge)}`),
  );
  return [...own.map(describe), ...inherited];
}

function isNode(specifier: string): boolean {
  return specifier.startsWith('node:');
}

/** Each cycle of value imports once, as the path around it. */
export function findCycles(graph: ImportGraph): string[] {
  const next = new Map<string, string[]>();
  for (const edge of graph.edges) {
    if (edge.kind === 'value' && isInternal(graph, edge)) {
      next.set(edge.from, [...(next.get(edge.from) ?? []), edge.to]);
    }
  }
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start !== -1) {
      cycles.push([...trail.slice(start), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const to of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.sources.keys()) visit(path, []);
  return cycles;
}

/** Every source that `entry` reaches, itself included. */
export function reachableFrom(
  graph: ImportGraph,
  entry: string,
  follow: (edge: Edge) => boolean = () => true,
): Set<string> {
  const seen = new Set<string>(graph.sources.has(entry) ? [entry] : []);
  for (const path of seen) {
    for (const edge of graph.edges) {
      if (edge.from === path && follow(edge) && isInternal(graph, edge)) seen.add(edge.to);
    }
  }
  return seen;
}

export interface Size {
  readonly files: number;
  readonly lines: number;
}

/** Files and lines of code of all that `entry` reaches, types included. */
export function measureCore(graph: ImportGraph, entry = 'index.ts'): Size {
  const files = [...reachableFrom(graph, entry)];
  const lines = files.reduce((sum, path) => sum + countCodeLines(graph.sources.get(path) ?? ''), 0);
  return { files: files.length, lines };
}

/** What of the core is over the limits. */
export function findOversize(graph: ImportGraph, limits: Size, entry = 'index.ts'): string[] {
  const size = measureCore(graph, entry);
  return (['files', 'lines'] as const)
    .filter((unit) => size[unit] > limits[unit])
    .map((unit) => `the core has ${size[unit]} ${unit}, over ${limits[unit]}`);
}

/** Files over `maxLines` of code that no exception names, and exceptions that are not needed. */
export function findLongFiles(
  graph: ImportGraph,
  maxLines: number,
  exceptions: readonly string[],
): string[] {
  const long = [...graph.sources]
    .map(([path, source]) => ({ path, lines: countCodeLines(source) }))
    .filter(({ lines }) => lines > maxLines);
  const unknown = long
    .filter(({ path }) => !exceptions.includes(path))
    .map(({ path, lines }) => `${path} has ${lines} lines of code, over ${maxLines}`);
  const stale = exceptions
    .filter((path) => long.every((file) => file.path !== path))
    .map((path) => `${path} needs no exception any more`);
  return [...unknown, ...stale];
}
