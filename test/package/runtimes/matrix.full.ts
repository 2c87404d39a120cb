// The runtime matrix: the packed package, in a user's project, under every runtime that is to run it.
import { mkdtempSync } from 'node:fs';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeApi } from '../../../kit/fake-api.ts';
import { runHost, startHost } from '../../../kit/host.ts';
import { installPacked, pack } from '../../../kit/packed.ts';
import { endByMarker, eventually, findByMarker } from '../../../kit/process-table.ts';
import {
  AGENT_MISSING,
  agentAvailable,
  agentEnvironment,
  removeTempDir,
} from '../../../kit/real-agent.ts';
import { NO_RUNTIMES, runtime } from '../../../kit/runtimes.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { LINGER_MS, type Program, type ProgramEnd } from '../../../kit/start-program.ts';
import { steer } from '../../../kit/steer.ts';
import { CAPABILITIES, type Capability, EXPECTED, RUNTIMES } from './expectations.ts';

/** From a host's death to that of its tree, which ignores SIGTERM for the 200 ms that it is given. */
const DEATH_MS = 1000;

const AGENT: Capability = "a query of the Agent SDK's, with its real agent";
const binaries = new Map(
  await Promise.all(
    RUNTIMES.map(
      async (name) => [name, name === 'node-24' ? process.execPath : await runtime(name)] as const,
    ),
  ),
);
const isSupported = binaries.get('deno') !== undefined;

let folder = '';
let project = '';

beforeAll(async () => {
  if (!isSupported) return;
  folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-matrix-')));
  project = join(folder, 'project');
  await installPacked(await pack(folder), 'conformance', project);
}, 240_000);

afterAll(async () => {
  if (isSupported) await removeTempDir(folder);
});

describe.skipIf(!isSupported).for(RUNTIMES)(`under %s (${NO_RUNTIMES})`, (name) => {
  const flags = name === 'deno' ? ['run', '-A'] : [];
  let home = '';
  let marker = '';
  let verdicts: ReadonlyMap<string, Verdict>;
  let end: ProgramEnd;

  beforeAll(async () => {
    home = await mkdtemp(join(folder, `${name}-`));
    marker = basename(home);
    end = await start(join(project, 'host.js'), [home]).end;
    verdicts = new Map(
      end.lines.map((line) => {
        const verdict = JSON.parse(line) as Verdict;
        return [verdict.capability, verdict];
      }),
    );
  });

  afterAll(async () => {
    expect(await endByMarker(MARKER, marker), 'alive after the runtime').toEqual([]);
  });

  function start(script: string, args: readonly string[], env = {}, more = flags): Program {
    return startHost(script, {
      args,
      flags: more,
      cwd: project,
      runtime: binaries.get(name),
      env: { PATH: process.env['PATH'] ?? '', HOME: home, [MARKER]: marker, ...env },
    });
  }

  /** A host with a tree that ignores SIGTERM, and the way in which it dies. */
  async function doom(death: string, ...more: string[]): Promise<Program & { stateDir: string }> {
    const stateDir = mkdtempSync(join(home, 'state-'));
    const host = start(join(project, 'doomed.js'), [stateDir, death, ...more]);
    await host.line('ready');
    return { ...host, stateDir };
  }

  const alive = () => findByMarker(MARKER, marker);
  const treeDeath = () => eventually(() => alive().length === 0, { timeoutMs: DEATH_MS });
  const kill = ({ pid }: Program, signal: NodeJS.Signals) => process.kill(pid, signal);

  async function diesByItself(death: string): Promise<void> {
    const host = await doom(death);
    expect(await host.end).toMatchObject({ signal: null });
    await treeDeath();
  }

  const attempts: Partial<Record<Capability, () => Promise<void>>> = {
    'a finished host ends by itself': async () => {
      expect(end).toMatchObject({ code: 0, signal: null });
      expect(end.lingeredMs).toBeLessThan(LINGER_MS);
    },

    'host SIGKILLed: its guardian ends the tree within a second': async () => {
      const host = await doom('SIGKILL');
      kill(host, 'SIGKILL');
      await host.end;
      await treeDeath();
    },

    'host calls process.exit: the same': () => diesByItself('exit'),
    'host throws: the same': () => diesByItself('throw'),

    'handleSignals: SIGTERM ends the tree, then the host': async () => {
      const host = await doom('SIGTERM');
      kill(host, 'SIGTERM');
      expect(await host.end).toMatchObject({ code: null, signal: 'SIGTERM' });
      expect(alive()).toEqual([]);
    },

    'host and guardian gone: the next host ends the tree': async () => {
      const host = await doom('SIGKILL', 'no-guardian');
      kill(host, 'SIGKILL');
      await host.end;
      const left = alive();
      expect(left).toHaveLength(3);
      const next = start(join(project, 'doomed.js'), [host.stateDir, 'exit']);
      expect(await next.line('recovered')).toBe('recovered 1');
      await next.end;
      await treeDeath();
    },

    'the command: --version, ps': async () => {
      const command = join(project, 'node_modules/agent-supervisor/dist/cli/main.js');
      expect((await start(command, ['--version']).end).lines).toEqual([
        expect.stringMatching(/^\d+\.\d+\.\d+$/),
      ]);
      const host = await doom('SIGKILL');
      const { lines } = await start(command, ['ps', '--state-dir', host.stateDir]).end;
      expect(lines[1]).toContain(`${host.pid}  alive`);
      expect(lines).toHaveLength(5);
      kill(host, 'SIGKILL');
      await host.end;
      await treeDeath();
    },

    [AGENT]: async () => {
      const api = await startFakeApi();
      try {
        const env = { ...agentEnvironment(api.url, home), [MARKER]: marker };
        const args = [join(home, 'queries'), steer([{ text: 'Done.' }])];
        // It is TypeScript, which this one runs on request only.
        const strip = name === 'node-22.12' ? ['--experimental-strip-types'] : flags;
        const { code, lines } = await runHost('query.ts', {
          args,
          env,
          cwd: home,
          runtime: binaries.get(name),
          flags: strip,
        });
        expect({ code, lines }).toEqual({ code: 0, lines: ['success', 'completed'] });
        expect(alive()).toEqual([]);
      } finally {
        await api.close();
      }
    },
  };

  /** Why a capability does not hold; `undefined` if it does. */
  async function failureOf(capability: Capability): Promise<string | undefined> {
    const attempt = attempts[capability];
    if (attempt === undefined) {
      const verdict = verdicts.get(capability);
      return verdict?.holds ? undefined : (verdict?.failure ?? `not told of: ${end.stderr}`);
    }
    return attempt().then(
      () => undefined,
      (error) => String(error),
    );
  }

  it.for(CAPABILITIES)('%s', { timeout: 60_000 }, async (capability, { skip }) => {
    skip(capability === AGENT && !agentAvailable(), AGENT_MISSING);
    const failure = await failureOf(capability);
    if (EXPECTED[capability][name] === undefined) expect(failure).toBeUndefined();
    else expect(failure).toBeDefined();
  });
});

it.skipIf(!isSupported)(
  'Deno with fewer rights starts nothing, and says what it wants',
  async () => {
    const home = await mkdtemp(join(folder, 'rights-'));
    const rights = ['read', 'write', 'env', 'run', 'sys', 'net'].map((name) => `--allow-${name}`);
    const { code, lines, stderr } = await runHost(join(project, 'doomed.js'), {
      args: [home, 'exit'],
      env: { PATH: process.env['PATH'] ?? '', HOME: home },
      cwd: project,
      runtime: binaries.get('deno'),
      flags: ['run', '--no-prompt', ...rights],
    });
    expect({ code, lines }).toEqual({ code: 1, lines: [] });
    expect(stderr).toContain('--allow-all');
  },
);

interface Verdict {
  readonly capability: string;
  readonly holds: boolean;
  readonly failure?: string;
}
