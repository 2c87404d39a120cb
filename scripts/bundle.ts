// One file instead of fifty: reading them one by one was a third of the time that our import took.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';
import { builtins } from './builtins.ts';
import { bundleThirdParty, thirdParty, withoutRequire, writeInAscii } from './third-party.ts';

const { peerDependencies, version } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  peerDependencies: Record<string, string>;
  version: string;
};

/** Whose exports the main entry has all: a surface takes them from there, so that there is one of each. */
const MAIN = ['src/index.ts', 'src/errors.ts', 'src/supervisor/singleton.ts'].map((path) =>
  resolve(path),
);

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

const GUARDIAN_PROGRAM = resolve('src/os/guardian-program.ts');

/** One copy for all entries, loaded by those few hosts that need it. */
const guardianProgram = (toDist: string): Plugin => ({
  name: 'guardian-program',
  resolveId(source, importer = '') {
    if (resolve(dirname(importer), source) !== GUARDIAN_PROGRAM) return null;
    return { id: `${toDist}guardian-program.js`, external: true };
  },
});

const bundled = await bundleThirdParty();

/** What the sources read of the project's own files, and a host that is one file cannot. */
const built: Plugin = {
  name: 'built',
  load(id) {
    if (resolve(id) !== resolve('src/os/built.ts')) return null;
    const packages = bundled.map(({ name, version, license }) => ({ name, version, license }));
    return [
      `export const packageVersion = () => ${JSON.stringify(version)};`,
      `export const bundledPackages = () => ${JSON.stringify(packages)};`,
    ].join('\n');
  },
};

/** Whatever an entry takes of other packages is in dist/bundled: nothing comes in unlisted. */
const nothingElse: Plugin = {
  name: 'nothing-else',
  load(id) {
    if (id.includes('node_modules')) throw new Error(`${id} is in no list of what is bundled`);
    return null;
  },
};

// Each is a bundle of its own: with chunks in common, the import would read two files.
const BUNDLES = [
  { input: 'src/index.ts', dir: 'dist' },
  { input: 'src/claude/index.ts', dir: 'dist/claude', plugins: [mainEntry] },
  // Two parts: a launcher that finds its daemon ready loads the first one only.
  { input: 'src/daemon/index.ts', dir: 'dist/daemon', plugins: [mainEntry] },
  // Whole in itself: it would read all of the main entry, of which most commands need little. Nobody
  // debugs into it, and its maps would be a seventh of the tarball.
  { input: 'src/cli/main.ts', dir: 'dist/cli', plugins: [builtins], sourcemap: false },
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

const SHARED_OPTIONS = {
  external: Object.keys(peerDependencies),
  platform: 'node',
  transform: { target: 'node22.12' },
  // The schemas that nobody has a use for.
  treeshake: { moduleSideEffects: false, manualPureFunctions: ['z'] },
} as const;

for (const { input, dir, plugins = [], chunks = '[name].js', sourcemap = true } of BUNDLES) {
  const toDist = dir === 'dist' ? './' : '../';
  const bundle = await rolldown({
    ...SHARED_OPTIONS,
    input,
    plugins: [thirdParty(toDist), guardianProgram(toDist), built, nothingElse, ...plugins],
  });
  const options = { dir, chunkFileNames: chunks, comments: false, sourcemap };
  writeInAscii(dir, await bundle.write(options));
  await bundle.close();
}
await writeGuardianProgram();

/** The guardian that is no shell, as the text of one file that imports Node's own modules alone. */
async function writeGuardianProgram(): Promise<void> {
  const bundle = await rolldown({
    ...SHARED_OPTIONS,
    input: 'src/containment/guardian-process.ts',
    plugins: [guardianProgram('./'), built, withoutRequire],
    // It launches and samples nobody. What ends a tree on Windows is in it.
    external: ['execa', 'pidusage'],
  });
  const { output } = await bundle.generate({ codeSplitting: false, comments: false });
  await bundle.close();
  writeFileSync(
    'dist/guardian-program.js',
    `export const guardianProgram = () => ${JSON.stringify(output[0].code)};\n`,
  );
}
