// The Windows half of the package, as far as Wine goes: Node for Windows with stand-ins for PowerShell
// and `taskkill /T` (wine-tools.cjs), and its output in files, for Wine's pipes are not the system's.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPacked, pack } from '../../../kit/packed.ts';
import { eventually, findByArgument } from '../../../kit/process-table.ts';
import { removeTempDir } from '../../../kit/real-agent.ts';
import { windowsNode } from '../../../kit/runtimes.ts';
import { UNDER_WINE, type WindowsCapability } from './expectations.ts';

const HAS_WINE = process.platform === 'linux' && isInstalled('wine') && isInstalled('wineserver');
const NO_WINE = 'Wine is not installed (Debian: wine, wine64)';
if (!HAS_WINE) console.warn(NO_WINE);

/** For all attempts together; one takes a second or two there. */
const HOST_MS = 150_000;
/** From the death of a host to that of its direct children, which Windows ends. */
const DEATH_MS = 2000;

describe.runIf(HAS_WINE)('Node for Windows under Wine', () => {
  let folder = '';
  let node = '';
  let project = '';
  let env: NodeJS.ProcessEnv = {};
  const verdicts = new Map<string, string | undefined>();

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-wine-')));
    project = join(folder, 'project');
    env = {
      PATH: process.env['PATH'],
      HOME: folder,
      WINEPREFIX: join(folder, 'prefix'),
      WINEDEBUG: '-all',
    };
    node = await windowsNode();
    await installPacked(await pack(folder), 'conformance', project);
    await run(['wineboot', '-i'], 60_000);
    // What Node takes for its Windows; Wine says 7 by itself.
    await run(['winecfg', '-v', 'win10'], 30_000);
    const home = join(folder, 'host');
    mkdirSync(home);
    const { output } = await run([...program('windows.js'), home], HOST_MS);
    for (const line of output().split('\n').slice(0, -1)) {
      const { capability, holds, failure } = JSON.parse(line);
      verdicts.set(capability, holds ? undefined : failure);
    }
  }, 600_000);

  afterAll(async () => {
    if (folder === '') return;
    // It ends every process of this prefix, and of no other.
    const server = spawn('wineserver', ['-k'], { env, stdio: 'ignore' });
    await once(server, 'exit');
    await eventually(() => removeTempDir(folder).then(() => true));
  });

  const program = (script: string) => [
    node,
    '--require',
    join(project, 'wine-tools.cjs'),
    join(project, script),
  ];

  function start(args: readonly string[]): { child: ChildProcess; output: () => string } {
    const path = join(folder, `output-${performance.now()}`);
    const files = [openSync(path, 'w'), openSync(`${path}.stderr`, 'w')] as const;
    const child = spawn('wine', args, { cwd: folder, env, stdio: ['ignore', ...files] });
    files.forEach(closeSync);
    const output = () => readFileSync(path, 'utf8');
    return { child, output };
  }

  async function run(args: readonly string[], timeoutMs: number) {
    const { child, output } = start(args);
    const signal = AbortSignal.timeout(timeoutMs);
    await once(child, 'exit', { signal }).catch((error) => {
      child.kill('SIGKILL');
      throw new Error(`wine ${args.join(' ')}: ${error}\n${output()}`);
    });
    return { output };
  }

  it('tries all that the page speaks of', () => {
    const tried = [...verdicts.keys(), ...Object.keys(attempts)];
    expect(tried.sort()).toEqual(Object.keys(UNDER_WINE).sort());
  });

  /** A host is SIGKILLed; resolves to the role of each process that outlives it. */
  async function outliving(): Promise<string[]> {
    const home = await mkdtemp(join(folder, 'doomed-'));
    const { child, output } = start([...program('doomed-windows.js'), home, home]);
    await eventually(() => output().includes('ready'), { timeoutMs: 30_000 });
    const alive = () =>
      ['child', 'grandchild'].filter((role) => findByArgument(`${home}-${role}`).length > 0);
    expect(alive()).toEqual(['child', 'grandchild']);
    child.kill('SIGKILL');
    await eventually(() => alive().length < 2, { timeoutMs: DEATH_MS });
    return alive();
  }

  const attempts: Partial<Record<WindowsCapability, () => Promise<void>>> = {
    'host killed: its direct children end with it': async () => {
      expect(await outliving()).not.toContain('child');
    },
    'host killed: its guardian ends the rest': async () => {
      expect(await outliving()).toEqual([]);
    },
  };

  it.for(Object.keys(UNDER_WINE) as WindowsCapability[])(
    '%s',
    { timeout: 60_000 },
    async (capability) => {
      const attempt = attempts[capability];
      const failure = attempt
        ? await attempt().then(() => undefined, String)
        : verdicts.get(capability);
      if (UNDER_WINE[capability] === '') expect(failure).toBeUndefined();
      else expect(failure).toBeDefined();
    },
  );
});

function isInstalled(command: string): boolean {
  try {
    execFileSync('which', [command], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
