// Secrets in a process's arguments, environment and output appear in no report and no history.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { CAN_CONTAIN, it, LADDER } from '../../../kit/containment.ts';
import { createSupervisor } from '../../../src/index.ts';
import { doctor } from '../../../src/inspect/doctor.ts';

// Each run takes a second, so a failing case is not shrunk.
const RUNS = { seed: 20261126, numRuns: 6, endOnFailure: true };
const SCRIPT =
  'printf "%s\\n" "$PLANTED" "$1" >&2; printf "%s\\n" "$1"; sleep 300 & exec sleep 301';

/** No word of this package, and no text that looks like a secret. */
const planted = () => fc.stringMatching(/^q[a-z0-9]{11}z$/);

describe.runIf(CAN_CONTAIN)('a planted secret', () => {
  it('is in no report and in no history, wherever it was planted', async ({ area }) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.record({ value: planted(), argument: planted(), folder: planted(), key: planted() }),
        async ({ value, argument, folder, key }) => {
          const place = join(area.folder, String(++run));
          const stateDir = join(place, `sk-ant-${key}`, 'state');
          const cwd = join(place, folder);
          mkdirSync(cwd, { recursive: true });
          const supervisor = createSupervisor({ stateDir, ladder: LADDER });
          const request = {
            command: 'sh',
            args: ['-c', SCRIPT, 'sh', argument],
            cwd,
            env: { ...area.env, PLANTED: value, API_KEY: key },
            sessionId: 'planted',
          };
          const live = supervisor.spawn(request);
          await live.started;
          await new Promise((resolve) => live.stdout.once('data', resolve));
          const failed = supervisor.spawn({ ...request, cwd: join(cwd, 'gone'), slot: false });
          failed.started.catch(() => undefined);
          await failed.exited;
          const reports = [await doctor(supervisor)];
          await live.terminate();
          reports.push(await doctor(supervisor));
          const history = readdirSync(stateDir).filter((name) => name.startsWith('history-'));
          const written = history.map((name) => readFileSync(join(stateDir, name), 'utf8'));
          await supervisor.stop();
          expect(reports[0]?.processes).toHaveLength(1);
          expect(reports[1]?.ends).toHaveLength(1);
          expect(written).toHaveLength(1);
          const shown = JSON.stringify([reports, written]);
          for (const secret of [value, argument, folder, key]) expect(shown).not.toContain(secret);
        },
      ),
      RUNS,
    );
  });
});
