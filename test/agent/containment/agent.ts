// A host whose real agent is at work, with all that it started, is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { sourceFlags } from '../../../kit/built-sources.ts';
import { GRACE_MS, LADDER } from '../../../kit/containment.ts';
import type { FakeApi } from '../../../kit/fake-api.ts';
import { endByMarker, eventually, findByMarker } from '../../../kit/process-table.ts';
import { agentEnvironment } from '../../../kit/real-agent.ts';
import { BUSY, MARKER, standingAgent, toQuery } from '../../../kit/scenarios.ts';
import { CAN_WATCH_AGENTS, it } from '../../../kit/supervised.ts';
import type { Death } from '../../fixtures/hosts/die.ts';

const HOST = join(import.meta.dirname, '../../fixtures/hosts/contained-agent.ts');

interface Place {
  readonly api: FakeApi;
  readonly home: string;
  readonly marker: string;
}

/** Starts a host and waits until its agent's whole tree stands. */
async function busyHost(place: Place, options: object = {}) {
  const { api, home, marker } = place;
  const supervisorOptions = { stateDir: join(home, 'state'), ladder: LADDER, ...options };
  const args = [
    '--max-old-space-size=64',
    ...sourceFlags(),
    HOST,
    JSON.stringify(supervisorOptions),
    JSON.stringify(toQuery(BUSY, place)),
  ];
  const env = { ...agentEnvironment(api.url, home), [MARKER]: marker };
  const host = spawn(process.execPath, args, { cwd: home, env, stdio: ['pipe', 'ignore', 'pipe'] });
  let stderr = '';
  host.stderr.on('data', (text) => {
    stderr += text;
  });
  const tree = () => findByMarker(MARKER, marker).filter(({ pid }) => pid !== host.pid);
  await eventually(
    () => {
      if (host.exitCode !== null) throw new Error(`the host ended: ${stderr}`);
      return api.waiting(marker) > 0 && standingAgent(BUSY, tree());
    },
    { timeoutMs: 30_000, what: 'the agent is at work' },
  );
  return { host, tree };
}

const bySignal = (signal: NodeJS.Signals) => (host: ChildProcess) => void host.kill(signal);
const byItself = (how: Death) => (host: ChildProcess) => void host.stdin?.write(`${how}\n`);
const SIGNALS = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGSEGV', 'SIGABRT'] as const;
const DEATHS = [
  ...SIGNALS.map((signal) => ({ name: signal, die: bySignal(signal) })),
  // At an exit, the SDK signals its agent too.
  { name: 'process.exit', die: byItself('exit') },
  { name: 'an uncaught throw', die: byItself('throw') },
  { name: 'process.abort', die: byItself('abort') },
  { name: 'running out of memory', die: byItself('out-of-memory') },
];

const QUICK = ['SIGKILL', 'SIGTERM', 'an uncaught throw'];

/** Tests the deaths that differ most, with their control, or all the others. */
export function describeDeaths(part: 'quick' | 'rest'): void {
  const isQuick = part === 'quick';
  const deaths = DEATHS.filter(({ name }) => QUICK.includes(name) === isQuick);

  describe.runIf(CAN_WATCH_AGENTS)('a host with a real agent at work dies', () => {
    it.for(deaths)('by $name: nothing survives', async ({ die }, { api, home, marker }) => {
      const { host, tree } = await busyHost({ api, home, marker });
      die(host);
      await once(host, 'exit');
      await eventually(() => tree().length === 0, { timeoutMs: GRACE_MS }).catch(() => undefined);
      expect(tree().map(({ args }) => args)).toEqual([]);
    });

    it.runIf(isQuick)(
      'by SIGKILL without a guardian: all of it survives (control)',
      async ({ api, home, marker }) => {
        const { host, tree } = await busyHost({ api, home, marker }, { guardian: false });
        const before = tree();
        host.kill('SIGKILL');
        await once(host, 'exit');
        await eventually(() => tree().length < before.length, { timeoutMs: GRACE_MS }).catch(
          () => undefined,
        );
        const left = standingAgent(BUSY, tree());
        await endByMarker(MARKER, marker);
        expect(left).toBeDefined();
      },
    );
  });
}
