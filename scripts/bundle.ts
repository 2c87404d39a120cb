// One file instead of fifty: reading them one by one was a third of the time that our import took.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';

const { dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
};

/** Whose exports the main entry has all: a surface takes them from there, so that there is one of each. */
const MAIN = ['src/index.ts', 'src/errors.ts', 'src/singleton.ts'].map((path) => resolve(path));

const mainEntry: Plugin = {
  name: 'main-entry',
  resolveId(source, importer = '') {
    if (!MAIN.includes(resolve(dirname(importer), source))) return null;
    return { id: '../index.js', external: true };
  },
};

/** The page's own files as text: nothing has to be found beside the bundle, whatever bundles the host. */
const pageFiles: Plugin = {
  name: 'page-files',
  transform(code, id) {
    if (resolve(id) !== resolve('src/doctor/assets.ts')) return null;
    const inline = (_: string, name: string): string =>
      JSON.stringify(readFileSync(`src/doctor/page/${name}`, 'utf8'));
    const inlined = code.replace(/\bread\(["'](\w+\.\w+)["']\)/g, inline);
    if (inlined === code) throw new Error(`${id}: no page file is read there any more`);
    return inlined;
  },
};

// Each is a bundle of its own: with chunks in common, the import would read two files.
const BUNDLES = [
  { input: 'src/index.ts', dir: 'dist' },
  { input: 'src/ownership/guardian-process.ts', dir: 'dist' },
  { input: 'src/claude/index.ts', dir: 'dist/claude', plugins: [mainEntry] },
  // Two parts: a launcher that finds its daemon ready loads the first one only.
  { input: 'src/daemon/index.ts', dir: 'dist/daemon', plugins: [mainEntry], chunks: '[name].js' },
  { input: 'src/cli/main.ts', dir: 'dist/cli', plugins: [mainEntry], chunks: '[name].js' },
  { input: 'src/doctor/index.ts', dir: 'dist/doctor', plugins: [mainEntry, pageFiles] },
  { input: 'src/mcp/index.ts', dir: 'dist/mcp', plugins: [mainEntry] },
  { input: 'src/otel/index.ts', dir: 'dist/otel', plugins: [mainEntry] },
  { input: 'src/service/index.ts', dir: 'dist/service', plugins: [mainEntry] },
  // The setup file adds to what the other one gives: they share their parts.
  {
    input: ['src/testing/index.ts', 'src/testing/setup.ts'],
    dir: 'dist/testing',
    plugins: [mainEntry],
    chunks: 'shared.js',
  },
];

for (const { input, dir, plugins = [], chunks = 'chunks/[name].js' } of BUNDLES) {
  const bundle = await rolldown({
    input,
    plugins,
    external: Object.keys({ ...dependencies, ...peerDependencies }),
    platform: 'node',
    transform: { target: 'node22.12' },
    // The schemas that the guardian's process has no use for would cost it a quarter of its memory.
    treeshake: { moduleSideEffects: false, manualPureFunctions: ['z'] },
  });
  await bundle.write({ dir, chunkFileNames: chunks, comments: false });
  await bundle.close();
}
