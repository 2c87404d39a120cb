// Two versions of the package on one state directory: neither can read what the other writes.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  it,
  roleOf,
  SLEEPER,
} from '../../../kit/containment.ts';
import type { SweepReport } from '../../../src/reports.ts';
import { FORMAT_VERSION } from '../../../src/store/formats.ts';

const ROOT = join(import.meta.dirname, '../../..');
const HOSTS = 'test/fixtures/hosts';
const SCRIPT = `${HOSTS}/contained.ts`;

/** Copies the package as it would be with the next format; returns the copy's own script of a host. */
function copyNextVersion({ folder }: Area): string {
  const copy = join(folder, 'next');
  mkdirSync(copy);
  for (const part of ['src', 'package.json', HOSTS])
    cpSync(join(ROOT, part), join(copy, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const record = join(copy, 'src/store/formats.ts');
  const [before, after] = readFileSync(record, 'utf8').split(`VERSION = ${FORMAT_VERSION};`);
  writeFileSync(record, `${before}VERSION = ${FORMAT_VERSION + 1};${after}`);
  return join(copy, SCRIPT);
}

/** A host of one version, with nobody to guard what it will leave. */
class Visitor {
  readonly #host: ContainedHost;
  readonly started: SweepReport;
  readonly file: string;

  private constructor(host: ContainedHost, started: SweepReport, file: string) {
    this.#host = host;
    this.started = started;
    this.file = file;
  }

  static async arrive(area: Area, script: string): Promise<Visitor> {
    const others = new Set(area.files());
    const host = await area.readyHost({ script, options: { guardian: false } });
    const { report } = await host.ask({ do: 'start' });
    const file = area.files().find((name) => !others.has(name)) ?? '';
    return new Visitor(host, report as SweepReport, join(area.stateDir, file));
  }

  async grow(role: string): Promise<void> {
    const env = { ...this.#host.area.env, ROLE: role };
    await this.#host.ask({ do: 'spawn', request: { ...SLEEPER, env } });
  }

  async sweep(): Promise<SweepReport> {
    return (await this.#host.ask({ do: 'sweep' }))['report'] as SweepReport;
  }

  async die(): Promise<void> {
    this.#host.kill('SIGKILL');
    await this.#host.exited;
  }

  get journal(): string {
    return readFileSync(this.file, 'utf8');
  }

  get owner(): string {
    return JSON.parse(this.journal.split('\n')[0] ?? '').owner.instance;
  }
}

/** What is said when everything of the other version was left alone. */
const strange = ({ file }: Visitor) => ({
  recovered: [],
  orphans: [],
  ended: [],
  forgotten: 0,
  unproven: [{ reason: expect.stringMatching(new RegExp(`${file}.*not a journal of format`)) }],
});

describe.runIf(CAN_CONTAIN)('two versions on one state directory', () => {
  it('leave each other alone, alive and dead, and each recovers its own', async ({ area }) => {
    const nextScript = copyNextVersion(area);
    const rolesAlive = () => area.tree().map(roleOf).sort();
    const old = await Visitor.arrive(area, join(ROOT, SCRIPT));
    const next = await Visitor.arrive(area, nextScript);
    await old.grow('old');
    await next.grow('next');
    const [oldJournal, nextJournal] = [old.journal, next.journal];
    const [oldOwner, nextOwner] = [old.owner, next.owner];

    expect(await old.sweep()).toMatchObject(strange(next));
    expect(await next.sweep()).toMatchObject(strange(old));

    await old.die();
    expect(await next.sweep()).toMatchObject(strange(old));
    expect(rolesAlive()).toEqual(['next', 'old']);
    expect([old.journal, next.journal]).toEqual([oldJournal, nextJournal]);

    const oldHeir = await Visitor.arrive(area, join(ROOT, SCRIPT));
    expect(oldHeir.started).toMatchObject({
      ...strange(next),
      recovered: [oldOwner],
      orphans: [{}],
      ended: [{}],
    });
    expect(rolesAlive()).toEqual(['next']);

    await next.die();
    expect(await oldHeir.sweep()).toMatchObject(strange(next));
    expect(rolesAlive()).toEqual(['next']);
    expect(next.journal).toBe(nextJournal);

    const nextHeir = await Visitor.arrive(area, nextScript);
    expect(nextHeir.started).toMatchObject({
      ...strange(oldHeir),
      recovered: [nextOwner],
      orphans: [{}],
      ended: [{}],
    });
    expect(rolesAlive()).toEqual([]);
    expect(area.files()).toHaveLength(2);
  });
});
