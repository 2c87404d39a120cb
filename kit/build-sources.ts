// The sources as a few files, for the hosts of tests: hundreds of them start, and each would read
// 300 files one by one, which takes three times as long as the start of Node itself.
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Plugin, rolldown } from 'rolldown';
import { builtName, FOLDER_VARIABLE, HOOK, MAIN, ROOT } from './built-sources.ts';

const CACHE = join(ROOT, 'node_modules/.cache/sources');
/** Other runs may still use the folders of the sources before. */
const KEPT_FOLDERS = 5;
/** They look for files beside themselves. */
const UNBUNDLED = /\/src\/(os\/guardian-program|os\/built|doctor\/assets)\.ts$/;
const IMPORT = /^(?:import|export) (?!type\b)[^;]*? from '[./]+\/(src\/[^']+)'/gm;

/** The modules that hosts import, and the command. */
function entries(): string[] {
  const importers = globSync('{test/fixtures,kit}/**/*.ts', {
    cwd: ROOT,
    exclude: (path) => path.includes('node_modules'),
  });
  const imported = importers.flatMap((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    return [...text.matchAll(IMPORT)].map(([, source = '']) => source);
  });
  return [...new Set([MAIN, ...imported])].toSorted();
}

const unbundled: Plugin = {
  name: 'unbundled',
  resolveId(source, importer) {
    const id = importer === undefined ? source : resolve(dirname(importer), source);
    return UNBUNDLED.test(id) ? { id, external: 'absolute' } : null;
  },
};

async function bundle(sources: readonly string[], dir: string): Promise<void> {
  const input = sources.map((source) => [builtName(source), join(ROOT, source)]);
  const build = await rolldown({
    input: Object.fromEntries(input),
    platform: 'node',
    treeshake: false,
    external: /^(?:@anthropic-ai|@opentelemetry|vitest)/,
    plugins: [unbundled],
  });
  await build.write({ dir, chunkFileNames: 'chunks/[name].js', comments: false });
  await build.close();
}

/** A module for `--import` that loads the bundled file in place of a source. */
function hookFor(sources: readonly string[], folder: string): string {
  const url = (path: string) => pathToFileURL(path).href;
  const pairs = sources.map((source) => [
    url(join(ROOT, source)),
    url(join(folder, `${builtName(source)}.js`)),
  ]);
  return `import { registerHooks } from 'node:module';
const BUILT = new Map(${JSON.stringify(pairs)});
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const url = BUILT.get(resolved.url);
    return url === undefined ? resolved : { ...resolved, url, format: 'module' };
  },
});
`;
}

/** A name for the sources as they are now. */
function versionOf(sources: readonly string[]): string {
  const hash = createHash('sha256').update(sources.join());
  const files = ['package-lock.json', ...globSync('src/**/*.ts', { cwd: ROOT }).toSorted()];
  for (const path of files) {
    const { mtimeMs, size } = statSync(join(ROOT, path));
    hash.update(`${path} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Bundles the sources for all hosts that this run starts; called before the first worker. */
export async function buildSources(): Promise<void> {
  const sources = entries();
  const folder = join(CACHE, versionOf(sources));
  if (!existsSync(folder)) {
    const draft = `${folder}.${process.pid}`;
    mkdirSync(draft, { recursive: true });
    await bundle(sources, draft);
    writeFileSync(join(draft, HOOK), hookFor(sources, folder));
    // Another run of the same sources may have been faster.
    if (!existsSync(folder)) renameSync(draft, folder);
    rmSync(draft, { recursive: true, force: true });
    removeOldFolders();
  }
  process.env[FOLDER_VARIABLE] = folder;
}

function removeOldFolders(): void {
  const folders = readdirSync(CACHE).map((name) => join(CACHE, name));
  const byAge = folders.toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const folder of byAge.slice(KEPT_FOLDERS)) rmSync(folder, { recursive: true, force: true });
}
