// The examples that live until somebody ends them: real processes, real HTTP, seen from outside.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, CONTAINMENT_MARKER, it } from '../../../kit/containment.ts';
import { startFakeApi } from '../../../kit/fake-api.ts';
import { startHost } from '../../../kit/host.ts';
import { eventually, type ProcessRow } from '../../../kit/process-table.ts';
import { AGENT_MISSING, agentAvailable, agentEnvironment } from '../../../kit/real-agent.ts';
import { freePort } from '../../../kit/services.ts';
import { steer } from '../../../kit/steer.ts';
import { builtExamples } from '../../../kit/tree.ts';

let folder = '';
let examples = '';

beforeAll(async () => {
  ({ folder, examples } = await builtExamples());
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

const TOKEN = 'a token of the examples';

/** The processes of an area that run this script. */
const running = (area: Area, script: string): ProcessRow[] =>
  area.tree().filter(({ args }) => args[1] === script);

describe.runIf(CAN_CONTAIN && agentAvailable())(
  agentAvailable() ? 'the Express worker' : AGENT_MISSING,
  () => {
    const worker = it.extend('worker', async ({ area }, { onCleanup }) => {
      const api = await startFakeApi();
      onCleanup(() => api.close());
      const host = startHost(join(examples, 'express/worker.ts'), {
        args: [],
        cwd: area.folder,
        env: {
          ...agentEnvironment(api.url, area.folder),
          [CONTAINMENT_MARKER]: area.marker,
          DOCTOR_TOKEN: TOKEN,
          PORT: '0',
        },
      });
      const port = (await host.line('listening on ')).split(' ').at(-1);
      const url = `http://127.0.0.1:${port}`;
      const ask = async (session: string): Promise<unknown[]> => {
        const response = await fetch(`${url}/sessions/${session}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ prompt: steer([{ gate: session, text: `I am ${session}.` }]) }),
        });
        return [response.status, await response.json()];
      };
      const arrived = (...sessions: string[]) =>
        eventually(() => sessions.every((session) => api.waiting(session) === 1), {
          timeoutMs: 30_000,
          what: 'the agents ask',
        });
      return { api, host, url, ask, arrived };
    });

    worker('ends one session and leaves the other', async ({ worker, area }) => {
      const { api, host, url, ask, arrived } = worker;
      const [one, two] = [ask('one'), ask('two')];
      await arrived('one', 'two');
      const doctor = async (): Promise<unknown> => {
        const headers = { authorization: `Bearer ${TOKEN}` };
        const report = await (await fetch(`${url}/api/admin/doctor`, { headers })).json();
        const { processes } = report as { processes: { sessionId: string }[] };
        return processes.map(({ sessionId }) => sessionId).sort();
      };
      expect(await doctor()).toEqual(['one', 'two']);
      expect((await fetch(`${url}/api/admin/doctor`)).status).toBe(401);

      const reaped = await fetch(`${url}/sessions/one`, { method: 'DELETE' });
      expect(await reaped.json()).toEqual({ ended: 1, survivors: 0 });
      expect(await one).toEqual([503, { error: 'ABORTED' }]);
      expect(await doctor()).toEqual(['two']);
      api.open('two');
      expect(await two).toEqual([200, { answer: 'I am two.' }]);

      const three = ask('three');
      await arrived('three');
      host.kill('SIGTERM');
      expect(await three).toEqual([503, { error: 'STOPPING' }]);
      expect(await host.end).toMatchObject({ code: null, signal: 'SIGTERM', stderr: '' });
      expect(area.tree()).toEqual([]);
    });

    worker('ends the agent of a client that hangs up', async ({ worker, area }) => {
      const { host, url, arrived } = worker;
      const controller = new AbortController();
      const asked = fetch(`${url}/sessions/one`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ prompt: steer([{ gate: 'one' }]) }),
        signal: controller.signal,
      });
      await arrived('one');
      const agents = () => area.tree().filter(({ pid }) => pid !== host.pid);
      expect(agents()).not.toEqual([]);
      controller.abort();
      await expect(asked).rejects.toThrow('aborted');
      await eventually(() => agents().length === 0);
      // The host goes on.
      expect((await fetch(`${url}/api/admin/doctor`)).status).toBe(401);
      host.kill('SIGTERM');
      expect((await host.end).stderr).toBe('');
    });

    worker('leaves nothing when it is killed', async ({ worker, area }) => {
      const { host, ask, arrived } = worker;
      const asked = Promise.allSettled([ask('one'), ask('two')]);
      await arrived('one', 'two');
      host.kill('SIGKILL');
      await host.end;
      // What the guardian grants by default, and two seconds.
      expect(await area.survivors(8_000)).toEqual([]);
      expect((await asked).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    });
  },
);

describe.runIf(CAN_CONTAIN)('the Electron main process', () => {
  const app = it.extend('app', async ({ area }) => {
    const { env, folder: cwd } = area;
    const host = startHost(join(examples, 'electron/main.ts'), { args: [], env, cwd });
    const script = join(examples, 'electron/utility.ts');
    /** The utility, another one than `last`. */
    const utility = (last?: ProcessRow): Promise<ProcessRow> =>
      eventually(() => running(area, script).find(({ pid }) => pid !== last?.pid));
    await host.line('utility ');
    return { host, utility };
  });

  app('starts its utility again, and quits when all is dead', async ({ app, area }) => {
    const { host, utility } = app;
    const first = await utility();
    process.kill(first.pid, 'SIGKILL');
    const second = await utility(first);
    await host.line(`utility ${second.pid}: the square of 12 is 144`);
    host.kill('SIGTERM');
    const { code, lines } = await host.end;
    expect([code, lines.at(-1)]).toEqual([0, 'survivors: 0']);
    expect(area.tree()).toEqual([]);
  });

  app('gives up when it crashes again and again', async ({ app, area }) => {
    const { host, utility } = app;
    let last: ProcessRow | undefined;
    for (let crashes = 0; crashes < 3; crashes++) {
      last = await utility(last);
      process.kill(last.pid, 'SIGKILL');
    }
    const { code, lines } = await host.end;
    expect(code).toBe(0);
    expect(lines).toContain('given up: same-crash after 2 restarts');
    expect(area.tree()).toEqual([]);
  });
});

describe.runIf(CAN_CONTAIN)('the hook', () => {
  it('of twenty events at once starts one daemon, which hears of all', async ({ area }) => {
    const port = await freePort();
    const env = { ...area.env, WORKER_PORT: String(port) };
    const hook = async (event: string): Promise<unknown> => {
      const child = spawn(process.execPath, [join(examples, 'daemon/hook.ts')], {
        env,
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      child.stdin.end(event);
      return (await once(child, 'exit'))[0];
    };
    const codes = await Promise.all(Array.from({ length: 20 }, (_, at) => hook(`event ${at}`)));
    expect(codes).toEqual(Array(20).fill(0));
    const heard = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(await heard()).toBe('20 events\n');
    const daemons = running(area, join(examples, 'daemon/worker.ts'));
    expect(daemons).toHaveLength(1);
    expect(area.tree()).toHaveLength(1);

    expect(await hook('one more')).toBe(0);
    expect(await heard()).toBe('21 events\n');
    const [daemon] = daemons;
    process.kill(daemon?.pid ?? 0, 'SIGTERM');
    expect(await area.survivors(5_000)).toEqual([]);
  });
});
