import { execFile } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeApi } from '../../kit/fake-api.ts';
import { installPacked, pack, type Tarball } from '../../kit/packed.ts';
import { AGENT_MISSING, agentAvailable, agentEnvironment } from '../../kit/real-agent.ts';
import { NO_RUNTIMES, type RuntimeName, runtime } from '../../kit/runtimes.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** What a user's `node_modules/agent-supervisor` holds. */
const TOP_LEVEL = [
  ...['CHANGELOG.md', 'LICENSE', 'README.md', 'THIRD-PARTY-LICENSES', 'dist', 'docs'],
  ...['package.json', 'sbom.cdx.json'],
];

/** Whose work does ours inside; others come along with execa and pidusage. */
const DIRECT = ['execa', 'pidusage', 'tree-kill', 'zod'];

/** The package's other entries, and what each of them exports. */
const SUBPATHS = [
  ['claude', ['isolatedCwd', 'superviseQuery']],
  [
    'daemon',
    [
      ...['acquireSpawnLock', 'daemonStatus', 'ensureDaemon', 'readPidFile', 'readPidFileSync'],
      ...['removePidFile', 'removeStalePidFile', 'restartDaemon', 'runAsDaemon', 'stopDaemon'],
      ...['validatePidFile', 'validatePidFileSync', 'writePidFile'],
    ],
  ],
  ['doctor', ['doctor', 'doctorHandler', 'doctorReportSchema', 'toNodeListener']],
  ['mcp', ['SupervisedStdioTransport']],
  ['otel', ['instrument']],
  ['service', ['defineService']],
  [
    'testing',
    [
      ...[
        'FakeClock',
        'FakeMachine',
        'LeakError',
        'askPermission',
        'complain',
        'crash',
        'createTestSupervisor',
      ],
      ...[
        'exit',
        'expectNoLeaks',
        'fail',
        'fakeAgent',
        'fakeProgram',
        'hang',
        'killHost',
        'matchers',
      ],
      ...['misbehave', 'reachUsageLimit', 'result', 'say', 'send', 'useTool'],
    ],
  ],
] as const;

/** The peer of one entry, whose users have it: its types are theirs. */
const OTEL = '@opentelemetry/api';

/** What every consumer prints after its process ended and its supervisor stopped. */
const DONE = { code: 0, cause: 'completed', output: 'hello', survivors: [] };

/** Other Node versions than the one that runs the tests; the oldest is the one `engines` promises. */
const NODES: readonly RuntimeName[] = ['node-22.12', 'node-22', 'node-26'];
const nodes = new Map(
  await Promise.all(NODES.map(async (name) => [name, await runtime(name)] as const)),
);

let folder = '';
let consumer = '';
let tarball: Tarball;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-pack-')));
  tarball = await pack(folder);
  consumer = join(folder, 'consumer');
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const types = ['@types/node', OTEL].map((name) => `${name}@${manifest.devDependencies[name]}`);
  await installPacked(tarball, 'consumer', consumer, types);
}, 240_000);

afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

/** Runs a script of the consumer with a state directory and a home of its own. */
async function consume(
  script: string,
  { node = process.execPath, args = [] as string[], environment = {} } = {},
): Promise<{ stdout: string; stderr: string }> {
  const stateDir = await mkdtemp(join(folder, 'state-'));
  return run(node, [join(consumer, script), stateDir, ...args], {
    cwd: consumer,
    env: { ...process.env, ...environment },
    timeout: 30_000,
  });
}

describe('the tarball', () => {
  it('holds what a user needs and nothing else', () => {
    const topLevel = new Set(tarball.files.map((path) => path.split('/')[0]));
    expect([...topLevel].sort()).toEqual(TOP_LEVEL);
    const strange = tarball.files.filter(
      (path) => path.startsWith('dist/') && !/\.(?:js|js\.map|d\.ts)$/.test(path),
    );
    expect(strange).toEqual([]);
  });

  it('is as small as it was', () => {
    // Measured: 1.98 MB in 190 files, of which source maps with their sources are 1.0 MB; the rest is our
    // bundles (each entry holds its own copy of what proves and signals) and those of five packages.
    expect(tarball.bytes).toBeLessThan(2_100_000);
    expect(tarball.files.length).toBeLessThan(200);
  });

  it('installs with no dependency', async () => {
    const modules = await readdir(join(consumer, 'node_modules'));
    const own = new Set(['.bin', '.package-lock.json', 'agent-supervisor']);
    // What the consumer has asked for itself.
    for (const name of ['@types', '@opentelemetry', 'undici-types']) own.add(name);
    expect(modules.filter((name) => !own.has(name))).toEqual([]);
  });

  describe('what is bundled', () => {
    const installed = () => join(consumer, 'node_modules/agent-supervisor');
    const read = (name: string) => readFile(join(installed(), name), 'utf8');
    const scripts = () => tarball.files.filter((path) => path.endsWith('.js'));
    const listed = async () =>
      (JSON.parse(await read('sbom.cdx.json')) as { components: Component[] }).components.map(
        ({ group, name, version, hashes }) => ({
          name: group === undefined ? name : `${group}/${name}`,
          version,
          hash: hashes[0]?.content,
        }),
      );

    interface Component {
      readonly group?: string;
      readonly name: string;
      readonly version: string;
      readonly hashes: readonly { readonly content: string }[];
    }

    it('are all five, and nothing that is not listed', async () => {
      const maps = await Promise.all(
        scripts().map((path) => read(`${path}.map`).catch(() => '{}')),
      );
      const sources = maps.flatMap(
        (map) => (JSON.parse(map) as { sources?: string[] }).sources ?? [],
      );
      const found = new Set(
        sources.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
      );
      const names = (await listed()).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(DIRECT));
      expect([...found].filter((name) => !names.includes(name))).toEqual([]);
      expect(DIRECT.filter((name) => !found.has(name))).toEqual([]);
    });

    it('are pinned, with their checksums and licences', async () => {
      const { devDependencies } = JSON.parse(
        await readFile(join(ROOT, 'package.json'), 'utf8'),
      ) as { devDependencies: Record<string, string> };
      const licenses = await read('THIRD-PARTY-LICENSES');
      const { packages } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
        packages: Record<string, { version: string; integrity?: string }>;
      };
      // Another version of the same package may be installed beside it.
      const hashesOf = (name: string, version: string) =>
        Object.entries(packages)
          .filter(
            ([path, entry]) => path.endsWith(`node_modules/${name}`) && entry.version === version,
          )
          .map(([, { integrity = '' }]) => integrity);
      for (const { name, version, hash = '' } of await listed()) {
        if (DIRECT.includes(name)) expect(devDependencies[name]).toBe(version);
        expect(hashesOf(name, version), name).toContain(
          `sha512-${Buffer.from(hash, 'hex').toString('base64')}`,
        );
        expect(licenses).toContain(`${name} ${version} (`);
      }
      const [, ...texts] = licenses.split(`\n${'-'.repeat(80)}\n\n`);
      expect(texts).toHaveLength((await listed()).length);
      expect(texts.filter((text) => text.length < 700)).toEqual([]);
    });

    it('are named by the command', async () => {
      const command = join(consumer, 'node_modules/.bin/agent-supervisor');
      const { stdout } = await run(command, ['--version', '--json']);
      const { bundled } = JSON.parse(stdout) as { bundled: { name: string; version: string }[] };
      expect(bundled.map(({ name, version }) => `${name} ${version}`)).toEqual(
        (await listed()).map(({ name, version }) => `${name} ${version}`),
      );
    });

    it('holds third-party files that each load by themselves', async () => {
      const bundled = tarball.files.filter((path) => /^dist\/bundled\/[^/]+\.js$/.test(path));
      expect(bundled.length).toBeGreaterThan(3);
      for (const path of bundled) {
        const url = join(consumer, 'node_modules/agent-supervisor', path);
        await run(process.execPath, ['--input-type=module', '-e', `await import('${url}')`]);
      }
    });

    it('looks for no file beside it: any bundler can take it', async () => {
      const texts = await Promise.all(scripts().map(async (path) => [path, await read(path)]));
      const needy = texts.filter(([, text]) => /\bimport\.meta\b/.test(text ?? ''));
      expect(needy.map(([path]) => path)).toEqual([]);
    });
  });

  it('shows no type of a dependency', async () => {
    const installed = join(consumer, 'node_modules/agent-supervisor/dist');
    const declarations = tarball.files.filter((path) => path.endsWith('.d.ts'));
    const named = await Promise.all(
      declarations.map(async (path) => {
        const text = await readFile(join(installed, path.slice('dist/'.length)), 'utf8');
        const specifiers = [...text.matchAll(/(?:\bfrom |\bimport\()'([^']+)'/g)];
        return specifiers.map(([, specifier = '']) => ({ path, specifier }));
      }),
    );
    expect(named.flat().length).toBeGreaterThan(declarations.length);
    const isPeers = ({ path, specifier }: { path: string; specifier: string }) =>
      path.startsWith('dist/otel/') && specifier === OTEL;
    const outside = named.flat().filter(({ specifier }) => !/^(?:\.|node:)/.test(specifier));
    expect(outside.filter((found) => !isPeers(found))).toEqual([]);
  });

  it('needs OpenTelemetry for its own entry alone', async () => {
    const scripts = tarball.files.filter((path) => path.endsWith('.js'));
    const texts = await Promise.all(
      scripts.map((path) =>
        readFile(join(consumer, 'node_modules/agent-supervisor', path), 'utf8'),
      ),
    );
    const needy = scripts.filter((_, index) => texts[index]?.includes('@opentelemetry/'));
    expect(needy).toEqual(['dist/otel/index.js']);
  });

  it('holds the guardian for systems without a shell, and it runs', async () => {
    const module = join(consumer, 'node_modules/agent-supervisor/dist/guardian-program.js');
    const { guardianProgram } = (await import(module)) as { guardianProgram: () => string };
    const script = join(folder, 'guardian.mjs');
    await writeFile(script, guardianProgram());
    const args = ['agent-supervisor-guardian', 'OwnerOfThisTest1', '100', '100', '2'];
    const running = run(process.execPath, [script, ...args]);
    running.child.stdin?.end('disarm\n');
    expect(await running).toEqual({ stdout: expect.stringMatching(/^ready \d+\n$/), stderr: '' });
  });

  it('brings no agent SDK along', async () => {
    expect(await readdir(join(consumer, 'node_modules'))).not.toContain('@anthropic-ai');
  });
});

describe('from JavaScript', () => {
  it.each(['esm.js', 'commonjs.cjs'])('%s', async (script) => {
    const { stdout } = await consume(script);
    expect(JSON.parse(stdout)).toEqual(DONE);
  });

  describe.skipIf(nodes.get('node-22') === undefined)(`under other Nodes (${NO_RUNTIMES})`, () => {
    it.each(NODES.flatMap((name) => ['esm.js', 'commonjs.cjs'].map((script) => [name, script])))(
      '%s: %s',
      async (name, script) => {
        const node = nodes.get(name as RuntimeName);
        const { stdout } = await consume(script as string, node === undefined ? {} : { node });
        expect(JSON.parse(stdout)).toEqual(DONE);
      },
    );
  });
});

describe.skipIf(nodes.get('node-22') === undefined)(`under Node 20 (${NO_RUNTIMES})`, () => {
  it('what starts something says in one line what it needs, and all else works', async () => {
    const node = (await runtime('node-20')) ?? process.execPath;
    const { stdout } = await consume('old-node.js', { node });
    expect(JSON.parse(stdout)).toEqual({
      env: { A: 'b' },
      args: ['--tools='],
      cause: 'completed',
      alive: true,
      refused: Array(6).fill(
        'UNSUPPORTED_RUNTIME agent-supervisor starts nothing under Node 20.20.2: it needs 22.12 or later. Run this host with a newer Node, with Bun or with Deno.',
      ),
    });
  });
});

describe('from TypeScript, strict and with every declaration checked', () => {
  it.each([
    ['nodenext', ['module.js', 'script.cjs']],
    ['bundler', ['module.js']],
  ])('%s', async (resolution, scripts) => {
    const config = join(consumer, `tsconfig.${resolution}.json`);
    await run(process.execPath, [TSC, '-p', config], { cwd: consumer }).catch((error) => {
      throw new Error(`tsc: ${error.stdout}${error.stderr}`);
    });
    for (const script of scripts) {
      const { stdout } = await consume(join('out', resolution, script));
      expect(JSON.parse(stdout)).toEqual(DONE);
    }
  });
});

describe('the command', () => {
  it('is installed, and says its version', async () => {
    const command = join(consumer, 'node_modules/.bin/agent-supervisor');
    const env = { PATH: dirname(process.execPath) };
    const { stdout } = await run(command, ['--version'], { env });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.skipIf(nodes.get('node-22') === undefined).each(NODES)(
    `runs under %s (${NO_RUNTIMES})`,
    async (name) => {
      const node = nodes.get(name) ?? process.execPath;
      const { stdout } = await run(node, [
        join(consumer, 'node_modules/.bin/agent-supervisor'),
        ...['run', '--state-dir', join(folder, `state-of-${name}`), '--', 'echo', 'hello'],
      ]);
      expect(stdout).toBe('hello\n');
    },
  );
});

describe('the import alone', () => {
  /** What importing `args[0]`, or the package, changed in the process and in its home. */
  async function observe(args: string[] = []): Promise<Record<string, unknown>> {
    const home = await mkdtemp(join(folder, 'home-'));
    const { stdout, stderr } = await consume('import-only.js', {
      args,
      environment: { HOME: home, USERPROFILE: home, XDG_STATE_HOME: home, LOCALAPPDATA: home },
    });
    const { before, after, handles, names } = JSON.parse(stdout);
    const changed = Object.keys(before).filter(
      (key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]),
    );
    return { changed, handles, names, stderr, files: await readdir(home) };
  }

  it('does nothing: no listener, timer, handle, global, variable, output or file', async () => {
    const { names, ...effects } = await observe();
    expect(effects).toEqual({ changed: [], handles: [], stderr: '', files: [] });
    expect(names).toContain('createSupervisor');
  });

  it.each(SUBPATHS)('does nothing by the subpath %s either', async (name, exported) => {
    const { names, ...effects } = await observe([`agent-supervisor/${name}`]);
    expect(effects).toEqual({ changed: [], handles: [], stderr: '', files: [] });
    expect(names).toEqual(exported);
  });

  it('would be seen doing something', async () => {
    expect(await observe(['./noisy.js'])).toEqual({
      changed: ['listeners', 'globals', 'environment'],
      handles: ['Timeout'],
      names: [],
      stderr: 'noisy\n',
      files: ['noisy'],
    });
  });
});

describe.skipIf(!agentAvailable)(`the README's first example, copied (${AGENT_MISSING})`, () => {
  // The SDK is linked, since it is large; nothing of it comes with us.
  async function copied(name: string): Promise<string> {
    const project = await mkdtemp(join(folder, 'newcomer-'));
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
    const [, code = ''] = /^```ts\n(.*?)^```$/ms.exec(readme) ?? [];
    await writeFile(join(project, name), code);
    await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module' }));
    const modules = join(project, 'node_modules');
    await mkdir(modules);
    for (const installed of await readdir(join(consumer, 'node_modules')))
      await symlink(join(consumer, 'node_modules', installed), join(modules, installed));
    await symlink(join(ROOT, 'node_modules/@anthropic-ai'), join(modules, '@anthropic-ai'));
    return project;
  }

  async function answerOf(project: string, script: string): Promise<string> {
    const api = await startFakeApi();
    try {
      const env = agentEnvironment(api.url, project);
      const { stdout } = await run(process.execPath, [script], { cwd: project, env });
      return stdout;
    } finally {
      await api.close();
    }
  }

  const ANSWER = 'Hello from the fake API.\nsurvivors: 0\n';

  it('works unchanged in JavaScript', async () => {
    expect(await answerOf(await copied('first.js'), 'first.js')).toBe(ANSWER);
  });

  it('works unchanged in TypeScript', async () => {
    const project = await copied('first.ts');
    const strict = ['--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
    const { stdout } = await run(process.execPath, [TSC, ...strict, 'first.ts'], { cwd: project });
    expect(stdout).toBe('');
    expect(await answerOf(project, 'first.js')).toBe(ANSWER);
  });
});
