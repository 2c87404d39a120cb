// Somebody removes or changes the registry while its host lives: what the host leaves is ended all the same.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it, SLEEPER, spawned } from '../../../kit/containment.ts';
import { isAlive, readRow } from '../../../kit/process-table.ts';
import type { KeptProcess, SweepReport } from '../../../src/index.ts';

const journalOf = ({ stateDir }: Area): string => {
  const name = readdirSync(stateDir).find((file) => file.startsWith('host-'));
  return join(stateDir, name ?? 'no journal');
};

const HURTS: Readonly<Record<string, (area: Area) => void>> = {
  'its journal is removed': (area) => rmSync(journalOf(area)),
  'its journal is cut': (area) => truncateSync(journalOf(area)),
  'its journal is another file': (area) => {
    const path = journalOf(area);
    rmSync(path);
    writeFileSync(path, 'noise\n', { mode: 0o600 });
  },
  'its journal says other things': (area) => {
    const path = journalOf(area);
    writeFileSync(path, 'x'.repeat(2000));
  },
  'the folder is removed': ({ stateDir }) => rmSync(stateDir, { recursive: true }),
  'another folder is put in its place': ({ stateDir }) => {
    renameSync(stateDir, `${stateDir}.old`);
    mkdirSync(stateDir, { mode: 0o700 });
  },
};

// No guardian: as if it were killed with its host.
const options = { guardian: false, sweep: { intervalMs: 3_600_000 } };

describe.runIf(CAN_CONTAIN)('what a killed host leaves is ended by the next one', () => {
  describe.each(Object.entries(HURTS))('although %s', (_, hurt) => {
    it('once the host has swept', async ({ area }) => {
      const host = await area.readyHost({ options });
      const first = readRow((await spawned(host, SLEEPER)).pid);
      hurt(area);
      const second = readRow((await spawned(host, SLEEPER)).pid);
      await host.ask({ do: 'sweep' });
      expect(host.messages).toContainEqual(
        expect.objectContaining({ event: 'warning', code: 'JOURNAL_REWRITTEN' }),
      );
      host.kill('SIGKILL');
      await host.exited;
      const next = await area.readyHost({ options });
      const { report } = await next.ask({ do: 'start' });
      expect((report as SweepReport).orphans).toHaveLength(2);
      for (const row of [first, second]) expect(row && isAlive(row)).toBe(false);
    });

    it('and not without that sweep', async ({ area }) => {
      const host = await area.readyHost({ options });
      const { pid } = await spawned(host, SLEEPER);
      const row = readRow(pid);
      hurt(area);
      host.kill('SIGKILL');
      await host.exited;
      const next = await area.readyHost({ options });
      await next.ask({ do: 'start' });
      expect(row && isAlive(row)).toBe(true);
      await area.endAll();
    });
  });

  it('goes on in memory beside what is none of its own, says so once, and writes it when that has gone', async ({
    area,
  }) => {
    const host = await area.readyHost({ options });
    await spawned(host, SLEEPER);
    const path = journalOf(area);
    rmSync(path);
    const target = join(area.folder, 'precious');
    writeFileSync(target, 'precious');
    symlinkSync(target, path);
    for (let time = 0; time < 3; time++) await host.ask({ do: 'sweep' });
    const codes = () => host.messages.flatMap(({ event, code }) => (event ? [code] : []));
    expect(codes().filter(Boolean)).toEqual(['REGISTRY']);
    rmSync(path);
    mkdirSync(path);
    await host.ask({ do: 'sweep' });
    expect(codes().filter(Boolean)).toEqual(['REGISTRY']);
    rmSync(path, { recursive: true });
    await host.ask({ do: 'sweep' });
    expect(codes().filter(Boolean)).toEqual(['REGISTRY', 'JOURNAL_REWRITTEN']);
    chmodSync(area.stateDir, 0o777);
    await host.ask({ do: 'sweep' });
    expect(codes().filter(Boolean)).toEqual(['REGISTRY', 'JOURNAL_REWRITTEN', 'REGISTRY']);
    chmodSync(area.stateDir, 0o700);
    await host.ask({ do: 'sweep' });
    expect(existsSync(path)).toBe(true);
    await host.ask({ do: 'stop' });
  });

  it('ends its own strays in a folder that others can write, and believes no file in it', async ({
    area,
  }) => {
    const dead = await area.readyHost({ options });
    const orphan = readRow((await spawned(dead, SLEEPER)).pid);
    const host = await area.readyHost({ options });
    await host.ask({ do: 'start' });
    dead.kill('SIGKILL');
    await dead.exited;
    chmodSync(area.stateDir, 0o777);
    await host.ask({ do: 'sweep' });
    expect(orphan && isAlive(orphan)).toBe(true);
    chmodSync(area.stateDir, 0o700);
    await host.ask({ do: 'sweep' });
    expect(orphan && isAlive(orphan)).toBe(false);
  });

  it('writes anew what is meant to outlive it, and the claims on its conversations', async ({
    area,
  }) => {
    const host = await area.readyHost({ options });
    const server = { ...SLEEPER, outlivesHost: true, slot: false };
    const { pid } = await spawned(host, server);
    await spawned(host, { ...SLEEPER, conversationId: 'c' });
    const names = () => readdirSync(area.stateDir).filter((name) => /^(?:kept|conv)/.test(name));
    const before = names();
    expect(before).toHaveLength(2);
    rmSync(area.stateDir, { recursive: true });
    await host.ask({ do: 'sweep' });
    expect(names()).toEqual(before);
    for (const name of names()) truncateSync(join(area.stateDir, name));
    await host.ask({ do: 'sweep' });
    host.kill('SIGKILL');
    await host.exited;
    const next = await area.readyHost({ options });
    const { report } = await next.ask({ do: 'start' });
    expect((report as { kept: KeptProcess[] }).kept).toMatchObject([{ pid }]);
    await area.endAll();
  });
});
