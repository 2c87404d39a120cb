// The real node-pty and the real Codex SDK launch on a lease: what they start is ours to end, whatever
// becomes of the host. Codex itself is a program of this test.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { startHost } from '../../kit/host.ts';
import { launchers } from '../../kit/launchers.ts';
import {
  endByIdentity,
  eventually,
  isAlive,
  type ProcessRow,
  readRow,
} from '../../kit/process-table.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../kit/supervised.ts';
import { createSupervisor, type ExitReport, type ProcessInfo } from '../../src/index.ts';

const modules = await launchers();
const WAIT = { timeoutMs: 20_000 };
/** Long enough for a guardian to end what a host has left, were it its own. */
const GRACE_MS = 3000;

/**
 * Answers as `codex exec --experimental-json` does, and stays. It has a descendant of each kind: one that
 * left its session, one that lost its environment too. All ignore the end of their terminal.
 */
const PROGRAM = `#!/bin/sh
trap '' HUP
setsid sleep 300 & one=$!
env -i /usr/bin/env setsid sleep 300 & two=$!
echo $$ $one $two > "$PIDS.new" && mv "$PIDS.new" "$PIDS"
echo '{"type":"thread.started","thread_id":"t"}'
echo '{"type":"item.completed","item":{"id":"0","type":"agent_message","text":"Done."}}'
[ "$STAYS" = no ] || exec sleep 300
`;
/** In the place of a program's path: puts the prefix before it. */
const WRAPPED = `#!/bin/sh
exec $PREFIX "$PROGRAM" "$@"
`;

interface Launched {
  readonly host: ReturnType<typeof startHost>;
  /** The agent and its descendants. */
  readonly rows: readonly ProcessRow[];
  /** What the host has said of `word`. */
  said<T>(word: string): Promise<T>;
}

const it = base.extend(
  'launch',
  ({ home, marker }) =>
    async (options: {
      readonly by: 'node-pty' | 'codex';
      readonly isMarked?: boolean;
      readonly endMs?: number;
      readonly stays?: boolean;
    }): Promise<Launched> => {
      const paths = Object.fromEntries(
        ['program', 'wrapped', 'pids'].map((n) => [n, join(home, n)]),
      );
      const { program = '', wrapped = '', pids = '' } = paths;
      writeFileSync(program, PROGRAM, { mode: 0o755 });
      writeFileSync(wrapped, WRAPPED, { mode: 0o755 });
      const { stays = true, ...rest } = options;
      const asked = { stateDir: join(home, 'state'), modules, program, isMarked: true, ...rest };
      const host = startHost('launches.ts', {
        args: [JSON.stringify(asked)],
        env: {
          ...{ PATH: process.env['PATH'] ?? '', HOME: home, [MARKER]: marker },
          ...{ PIDS: pids, WRAPPED: wrapped, PROGRAM: program, STAYS: stays ? 'yes' : 'no' },
        },
      });
      const rows = await eventually(() => {
        try {
          return readFileSync(pids, 'utf8').trim().split(' ').map(Number);
        } catch {
          return false;
        }
      }, WAIT).then((found) => found.flatMap((pid) => readRow(pid) ?? []));
      onTestFinished(() => endByIdentity(rows));
      const said = async <T>(word: string): Promise<T> =>
        JSON.parse(await host.line(`{"word":"${word}"`)) as T;
      return { host, rows, said };
    },
);

describe.runIf(CAN_WATCH && modules !== undefined).each(['node-pty', 'codex'] as const)(
  'launched by %s',
  (by) => {
    it('an agent is listed with its session, and ended with its whole tree', async ({ launch }) => {
      const { host, rows, said } = await launch({ by, endMs: 100 });
      const { pid, listed } = await said<{ pid: number; listed: ProcessInfo[] }>('adopted');
      expect(pid).toBe(rows[0]?.pid);
      expect(listed).toMatchObject([{ pid, kind: by, sessionId: 's', holdsSlot: true }]);
      const { report } = await said<{ report: ExitReport }>('exited');
      expect(report).toMatchObject({ cause: 'terminated', sessionId: 's' });
      await host.end;
      expect(rows.map(isAlive)).toEqual([false, false, false]);
    });

    it('its host is SIGKILLed, and nobody is left', async ({ launch }) => {
      const { host, rows, said } = await launch({ by });
      await said('adopted');
      host.kill('SIGKILL');
      await eventually(() => !rows.some(isAlive), { ...WAIT, what: 'all are dead' });
    });

    it('without environment and prefix all live on (control)', async ({ launch, home }) => {
      const { host, rows, said } = await launch({ by, isMarked: false });
      await said('launched');
      host.kill('SIGKILL');
      await host.end;
      // The next host finds nothing of it either.
      const next = createSupervisor({ stateDir: join(home, 'state') });
      await next.start();
      await next.stop();
      const untilMs = performance.now() + GRACE_MS;
      await eventually(() => performance.now() >= untilMs, WAIT);
      expect(rows.map(isAlive)).toEqual([true, true, true]);
      endByIdentity(rows);
      await eventually(() => !rows.some(isAlive), WAIT);
    });

    it('its leftovers are ended when it is done by itself', async ({ launch }) => {
      const { host, rows, said } = await launch({ by, stays: false });
      await eventually(() => !rows.some(isAlive), { ...WAIT, what: 'all are dead' });
      if (by === 'codex') expect(await said('answer')).toMatchObject({ finalResponse: 'Done.' });
      await host.end;
    });
  },
);
