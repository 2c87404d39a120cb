import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  endAndConfirm,
  it as inArea,
  LADDER,
  SLEEPER,
  TREE_ROLES,
} from '../../../kit/containment.ts';
import { DEAD_OWNER, forgeJournal, journalText, recordOf } from '../../../kit/forged-journal.ts';
import { endByIdentity, eventually, isAlive, type ProcessRow } from '../../../kit/process-table.ts';
import { createSupervisor, type StartReport, type SweepReport } from '../../../src/index.ts';

/** A supervisor in this process, on the area's state directory. */
const it = inArea.extend('heir', async ({ area }, { onCleanup }) => {
  const heir = createSupervisor({ stateDir: area.stateDir, guardian: true, ladder: LADDER });
  onCleanup(async () => {
    await heir.stop();
  });
  return heir;
});

/** A host that dies with its guardian, so that its tree and its journal stay behind. */
async function abandon(area: Area): Promise<{ owner: string; tree: ProcessRow[] }> {
  const before = new Set(area.owners());
  const host = await area.readyHost();
  const tree = await host.growTree();
  const owner = area.owners().find((name) => !before.has(name)) ?? '';
  const guardians = area.guardians([owner]);
  expect(guardians).toHaveLength(1);
  // Stopped, so that it cannot call another guardian in between.
  host.kill('SIGSTOP');
  await eventually(() => 'tT'.includes(statusLetter(host)));
  endByIdentity([...guardians, host.key]);
  await host.exited;
  await eventually(() => area.guardians([owner]).length === 0);
  return { owner, tree };
}

const statusLetter = (host: ContainedHost): string =>
  readFileSync(`/proc/${host.child.pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? '';

const pidsOf = (rows: readonly { readonly pid: number }[]) =>
  rows.map(({ pid }) => pid).sort((a, b) => a - b);

describe.runIf(CAN_CONTAIN)('guardian and host are SIGKILLed at once', () => {
  it('the tree survives that (control), and the next start() ends and reports it', async ({
    area,
    heir,
  }) => {
    const { owner, tree } = await abandon(area);
    expect(await area.survivors(LADDER.termMs + LADDER.killMs)).toHaveLength(TREE_ROLES.length);

    const report = await heir.start();
    expect(tree.filter(isAlive)).toEqual([]);
    expect(report).toMatchObject({ recovered: [owner], survivors: [], unproven: [], forgotten: 0 });
    expect(pidsOf(report.orphans)).toEqual(pidsOf(tree));
    expect(report.orphans.map(({ reason }) => reason)).toEqual(tree.map(() => 'its host is dead'));
    expect(report.ended).toMatchObject([{ cause: 'reaped', forced: true }]);
    expect(area.files()).toHaveLength(1);
    await heir.stop();
    expect(area.files()).toEqual([]);
  });

  it('a dry run only says what it would do', async ({ area, heir }) => {
    const { tree } = await abandon(area);
    const before = new Map(area.files().map((name) => [name, contentOf(area, name)]));

    const report = await dryHost(area);
    expect(pidsOf(report.orphans)).toEqual(pidsOf(tree));
    expect(report).toMatchObject({ recovered: [], ended: [] });
    expect(tree.filter(isAlive)).toEqual(tree);
    expect(new Map(area.files().map((name) => [name, contentOf(area, name)]))).toEqual(before);

    await heir.start();
    expect(tree.filter(isAlive)).toEqual([]);
  });

  it('of three hosts that start at once, exactly one recovers', async ({ area }) => {
    const { owner, tree } = await abandon(area);
    const hosts = await Promise.all([1, 2, 3].map(() => area.readyHost()));
    const answers = await Promise.all(hosts.map((host) => host.ask({ do: 'start' })));
    const reports = answers.map(({ report }) => report as StartReport);
    expect(reports.flatMap(({ recovered }) => recovered)).toEqual([owner]);
    expect(reports.filter(({ orphans }) => orphans.length > 0)).toHaveLength(1);
    expect(tree.filter(isAlive)).toEqual([]);
    await Promise.all(hosts.map((host) => host.ask({ do: 'stop' })));
    expect(area.files()).toEqual([]);
  });
});

describe.runIf(CAN_CONTAIN)('a claim', () => {
  it('of a dead claimer is claimed', async ({ area, heir }) => {
    const { owner, tree } = await abandon(area);
    renameSync(
      file(area, `host-${owner}.jsonl`),
      file(area, `claim-${owner}+DeadClaimerOfOne.jsonl`),
    );
    forgeJournal(area.stateDir, { owner: { instance: 'DeadClaimerOfOne' } });
    const report = await heir.start();
    expect([...report.recovered].sort()).toEqual([owner, 'DeadClaimerOfOne'].sort());
    expect(tree.filter(isAlive)).toEqual([]);
  });

  it('of a claimer that left no journal is claimed', async ({ area, heir }) => {
    const { owner, tree } = await abandon(area);
    renameSync(
      file(area, `host-${owner}.jsonl`),
      file(area, `claim-${owner}+GoneClaimerOfTwo.jsonl`),
    );
    expect((await heir.start()).recovered).toEqual([owner]);
    expect(tree.filter(isAlive)).toEqual([]);
  });

  it('of a live claimer is left to it, until it dies', async ({ area, heir }) => {
    const { owner, tree } = await abandon(area);
    const journal = file(area, `host-${owner}.jsonl`);
    const hidden = file(area, 'hidden');
    renameSync(journal, hidden);
    const claimer = await area.readyHost();
    await claimer.ask({ do: 'start' });
    const [instance = ''] = area.owners();
    renameSync(hidden, file(area, `claim-${owner}+${instance}.jsonl`));

    expect((await heir.start()).recovered).toEqual([]);
    expect(tree.filter(isAlive)).toEqual(tree);

    claimer.kill('SIGKILL');
    await claimer.exited;
    expect((await heir.sweep()).recovered).toContain(owner);
    expect(tree.filter(isAlive)).toEqual([]);
  });
});

describe.runIf(CAN_CONTAIN)('what is not ours to recover', () => {
  it("a live owner's file and processes are left as they are", async ({ area, heir }) => {
    const host = await area.readyHost();
    const tree = await host.growTree();
    const [name = ''] = area.files();
    const before = [contentOf(area, name), statSync(file(area, name), { bigint: true }).mtimeNs];
    const report = await heir.start();
    await heir.sweep();
    expect(report).toMatchObject({ recovered: [], orphans: [], ended: [], forgotten: 0 });
    expect([contentOf(area, name), statSync(file(area, name), { bigint: true }).mtimeNs]).toEqual(
      before,
    );
    expect(tree.filter(isAlive)).toEqual(tree);
    // Nor while it is stopped, and answers nobody.
    host.kill('SIGSTOP');
    await eventually(() => 'tT'.includes(statusLetter(host)));
    expect((await heir.sweep()).recovered).toEqual([]);
    expect(tree.filter(isAlive)).toEqual(tree);
    host.kill('SIGCONT');
  });

  it('after a reboot everything is forgotten and nothing is signalled', async ({ area, heir }) => {
    const canary = area.canary();
    const bootId = '00000000-0000-4000-8000-000000000000';
    const records = [{ ...recordOf(canary), bootId }, recordOf(canary, 'lies')];
    forgeJournal(area.stateDir, { owner: { bootId }, records });
    const report = await heir.start();
    expect(report).toMatchObject({
      recovered: [DEAD_OWNER.instance],
      forgotten: 2,
      orphans: [],
      unproven: [],
    });
    expect(isAlive(canary)).toBe(true);
    expect(area.files().filter((name) => name.includes('DeadOwner'))).toEqual([]);
  });

  it.for([
    ['another PID namespace', { owner: { pidNamespace: 'pid:[1]' } }, 'elsewhere'],
    ['another machine', { owner: { machine: 'another-machine', bootId: 'another' } }, 'elsewhere'],
    ['an unknown version', { version: 2 }, 'format'],
  ] as const)('%s: reported and left alone', async ([, forgery, reason], { area, heir }) => {
    const canary = area.canary();
    const path = forgeJournal(area.stateDir, { ...forgery, records: [recordOf(canary)] });
    const before = readFileSync(path, 'utf8');
    const report = await heir.start();
    expect(report.unproven).toHaveLength(1);
    expect(report.unproven[0]?.reason).toContain(path);
    expect(report.unproven[0]?.reason).toContain(reason);
    expect(report).toMatchObject({ recovered: [], orphans: [], forgotten: 0 });
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(isAlive(canary)).toBe(true);
  });

  it('a torn last line costs a warning and nothing else', async ({ area, heir }) => {
    const { owner, tree } = await abandon(area);
    const journal = file(area, `host-${owner}.jsonl`);
    writeFileSync(journal, `${readFileSync(journal, 'utf8')}{"add":{"id":"torn`);
    const report = await heir.start();
    expect(report.recovered).toEqual([owner]);
    expect(report.unproven).toMatchObject([{ reason: expect.stringContaining('unreadable') }]);
    expect(tree.filter(isAlive)).toEqual([]);
  });

  it('a journal under a foreign name proves nothing about a live owner', async ({ area, heir }) => {
    const host = await area.readyHost();
    const tree = await host.growTree();
    const [live = ''] = area.owners();
    // The header says that its owner is dead; the name says whose processes it would be about.
    const name = `claim-${live}+DeadClaimerOfOne.jsonl`;
    writeFileSync(file(area, name), journalText({}), { mode: 0o600 });
    const report = await heir.start();
    expect(tree.filter(isAlive)).toEqual(tree);
    expect(report.recovered).toEqual([]);
    expect(report.unproven).toMatchObject([{ reason: expect.stringContaining(name) }]);
  });
});

describe.runIf(CAN_CONTAIN)('the sweep', () => {
  it('ends strays that carry our cookie, and no kept leftovers', async ({ area, heir }) => {
    await heir.start();
    const [owner = ''] = area.owners();
    const known = heir.spawn({ ...SLEEPER, env: area.env });
    await known.started;
    const leaver = heir.spawn({
      command: 'sh',
      args: ['-c', 'ROLE=kept setsid sleep 300 >/dev/null 2>&1 </dev/null &'],
      env: area.env,
      kind: 'tool',
      leftovers: 'keep',
    });
    await leaver.exited;
    const kept = area.tree().filter(({ pid }) => pid !== known.pid);
    expect(kept).toHaveLength(1);
    const stray = area.canary({ AGENT_SUPERVISOR_COOKIE: `${owner}.unknown-7` });
    const strangers = [
      area.canary({ AGENT_SUPERVISOR_COOKIE: `${owner}.unknown-7.kept` }),
      area.canary({ AGENT_SUPERVISOR_COOKIE: `x${owner}.unknown-7` }),
      area.canary({ AGENT_SUPERVISOR_COOKIE: '' }),
    ];

    const wouldEnd = await heir.sweep({ dryRun: true });
    expect(wouldEnd.orphans).toMatchObject([{ id: 'unknown-7', pid: stray.pid }]);
    expect(isAlive(stray)).toBe(true);

    const report = await heir.sweep();
    expect(report.orphans).toMatchObject([{ id: 'unknown-7', pid: stray.pid }]);
    expect(isAlive(stray)).toBe(false);
    expect([...strangers, ...kept].filter((row) => !isAlive(row))).toEqual([]);
    expect(known.exitCode).toBeNull();
    await endAndConfirm(kept);
  });

  it.for(['from the start on', 'after one by hand, too'])(
    'happens by itself %s, and sees what died since',
    async (when, { area }) => {
      const keeper = createSupervisor({
        stateDir: area.stateDir,
        guardian: true,
        ladder: LADDER,
        sweep: { intervalMs: 100 },
      });
      if (when.startsWith('after')) await keeper.sweep();
      await keeper.start();
      try {
        const { owner, tree } = await abandon(area);
        await eventually(() => !area.files().some((name) => name.includes(owner)), {
          what: 'swept',
        });
        expect(tree.filter(isAlive)).toEqual([]);
      } finally {
        await keeper.stop();
      }
    },
  );
});

/** What a host that may not even start says of the state directory. */
async function dryHost(area: Area): Promise<SweepReport> {
  const host = await area.readyHost({ options: { guardian: false } });
  const { report } = await host.ask({ do: 'sweep', dryRun: true });
  await host.ask({ do: 'stop' });
  return report as SweepReport;
}

const file = (area: Area, name: string) => join(area.stateDir, name);
const contentOf = (area: Area, name: string) => readFileSync(file(area, name), 'utf8');
