// What we use of other people's packages, bundled into dist/bundled, and what the tarball says of it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, join, relative, resolve, sep } from 'node:path';
import { type Plugin, type RolldownOutput, rolldown } from 'rolldown';
import { esmExternalRequirePlugin } from 'rolldown/plugins';
import * as mini from 'zod/mini';

/** A package of which something is in the bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Where it is installed: two versions of one package lie in two folders. */
  readonly folder: string;
  /** The direct dependency that brings it. */
  readonly of: string;
}

const FOLDER = 'dist/bundled';
/** The bundles' own source, which is in no file. */
const ENTRY = resolve('third-party-entry.js');

/** What is taken of each direct dependency, as the source of its bundle. */
const SOURCES: Readonly<Record<string, () => string>> = {
  execa: () => `export { execa } from 'execa';`,
  pidusage: () => `export { default } from 'pidusage';`,
  'tree-kill': () => `export { default } from 'tree-kill';`,
  'zod/mini': () => `export { ${usedOfZod().join(', ')} } from 'zod/mini';`,
};

/** What the sources call of zod: without that list nothing of it could be left out. */
function usedOfZod(): string[] {
  const texts = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join('src', path), 'utf8'))
    .filter((text) => text.includes(`import * as z from 'zod/mini';`));
  const names = texts.flatMap((text) =>
    Array.from(text.matchAll(/\bz\.(\w+)(?![\w.<])/g), ([, name = '']) => name),
  );
  // The others are types.
  return [...new Set(names)].filter((name) => name in mini).sort();
}

/** The file of a dependency's bundle. */
const fileOf = (name: string): string => `${name.replace('/', '-')}.js`;

/** Leads the imports of our own bundles to those of other people's packages, one copy for all entries. */
export const thirdParty = (toDist: string): Plugin => ({
  name: 'third-party',
  resolveId: (source) =>
    source in SOURCES ? { id: `${toDist}bundled/${fileOf(source)}`, external: true } : null,
});

/** Turns the `require` of Node's own modules into imports: in CommonJS parts it would stand on `import.meta.url`. */
export const withoutRequire = esmExternalRequirePlugin({
  external: [/^node:/, ...builtinModules],
  skipDuplicateCheck: true,
});

/**
 * Writes a bundle's files in ASCII: one other character makes V8 keep a whole file in two bytes for each.
 * No line becomes another one, so the source maps hold. (After all plugins: rolldown prints once more.)
 */
export function writeInAscii(dir: string, { output }: RolldownOutput): void {
  for (const part of output) {
    if (part.type !== 'chunk') continue;
    const ascii = part.code.replace(
      /[\u0080-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    writeFileSync(join(dir, part.fileName), ascii);
  }
}

/** Bundles them, each into a file of its own; returns what is in them, from the bundler's own list. */
export async function bundleThirdParty(): Promise<readonly BundledPackage[]> {
  const packages = new Map<string, BundledPackage>();
  for (const [name, source] of Object.entries(SOURCES)) {
    const bundle = await rolldown({
      input: { [basename(fileOf(name), '.js')]: ENTRY },
      plugins: [
        {
          name: 'entry',
          resolveId: (id) => (id === ENTRY ? ENTRY : null),
          load: (id) => (id === ENTRY ? source() : null),
        },
        withoutRequire,
      ],
      platform: 'node',
      transform: { target: 'node22.12' },
      treeshake: { moduleSideEffects: false },
    });
    const written = await bundle.write({
      dir: FOLDER,
      codeSplitting: false,
      comments: false,
      sourcemap: true,
    });
    await bundle.close();
    writeInAscii(FOLDER, written);
    const modules = written.output.flatMap((part) =>
      part.type === 'chunk'
        ? Object.entries(part.modules).flatMap(([id, { renderedLength }]) =>
            renderedLength > 0 ? [id] : [],
          )
        : [],
    );
    for (const folder of new Set(modules.flatMap(packageFolder))) {
      if (packages.has(folder)) continue;
      packages.set(folder, { ...manifestOf(folder), folder, of: name.replace(/\/.*/, '') });
    }
  }
  const sorted = [...packages.values()].sort((a, b) => (urlOf(a) < urlOf(b) ? -1 : 1));
  writeFileSync('THIRD-PARTY-LICENSES', licenses(sorted));
  writeFileSync('sbom.cdx.json', `${JSON.stringify(billOfMaterials(sorted), null, 2)}\n`);
  return sorted;
}

/** The folder of the package that a module is of; none for our own entries. */
function packageFolder(id: string): string[] {
  const path = relative('.', id).split(sep).join('/');
  const [folder] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? [];
  return folder === undefined ? [] : [folder];
}

function manifestOf(folder: string): { name: string; version: string; license: string } {
  const { name, version, license } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  ) as { name: string; version: string; license: string };
  return { name, version, license };
}

/** Each package with the text of its licence, which has to come with every copy. */
function licenses(packages: readonly BundledPackage[]): string {
  const texts = packages.map(({ name, version, license, folder }) => {
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) throw new Error(`${name} has no licence to bring along`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  const head =
    'agent-supervisor contains parts of the packages below, each under its own licence.\n';
  return [head, ...texts].join(`\n${'-'.repeat(80)}\n\n`);
}

/** The same for programs: CycloneDX 1.6, with the checksums of the lock file. */
function billOfMaterials(packages: readonly BundledPackage[]): unknown {
  const { name, version, license } = manifestOf('.');
  const locked = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { integrity: string }>;
  };
  const component = (of: { name: string; version: string; license: string }) => {
    const [scope, short = scope] = of.name.split('/');
    return {
      type: 'library',
      'bom-ref': urlOf(of),
      ...(short === scope ? {} : { group: scope }),
      name: short,
      version: of.version,
      licenses: [{ license: { id: of.license } }],
      purl: urlOf(of),
    };
  };
  const direct = Object.keys(SOURCES).map((name) => name.replace(/\/.*/, ''));
  const refs = (from: string): string[] =>
    packages.filter(({ of, name: own }) => of === from && own !== from).map(urlOf);
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: component({ name, version, license }) },
    components: packages.map((one) => {
      // A build elsewhere may find its packages by a link.
      const path = one.folder.slice(one.folder.indexOf('node_modules/'));
      const [, digest = ''] = (locked.packages[path]?.integrity ?? '').split('sha512-');
      const content = Buffer.from(digest, 'base64').toString('hex');
      return { ...component(one), scope: 'required', hashes: [{ alg: 'SHA-512', content }] };
    }),
    dependencies: [
      {
        ref: urlOf({ name, version }),
        dependsOn: packages.filter((one) => direct.includes(one.name)).map(urlOf),
      },
      ...packages.map((one) => ({
        ref: urlOf(one),
        dependsOn: direct.includes(one.name) ? refs(one.name) : [],
      })),
    ],
  };
}

/** A package URL (purl). */
function urlOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}
