// Hosts in agents of hosts: each level takes a resource limit of its own for its tags. Where none
// is free, it has only its cookie.
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  GRACE_MS,
  it,
} from '../../../kit/containment.ts';
import { endByIdentity, eventually, findByArgument } from '../../../kit/process-table.ts';
import type { SupervisorOptions } from '../../../src/index.ts';
import type { LevelCommand } from '../../fixtures/hosts/levels.ts';

const LIMITS = ['locks', 'rss', 'rttime', 'off'];
const ALL = ['marked', 'washed'].flatMap((role) => LIMITS.map((_, depth) => `${role}-${depth}`));

/** The live orphans of all levels, such as `washed-2`. */
function orphans({ folder }: Area): string[] {
  return findByArgument(folder)
    .flatMap(({ args }) => args.filter((arg) => /^(?:washed|marked)-\d$/.test(arg)))
    .sort();
}

/** Starts a host within a host, four levels deep, and waits until all orphans run. */
async function nest(area: Area, options: SupervisorOptions = {}): Promise<ContainedHost> {
  const args = [area.folder, String(LIMITS.length)];
  const host = area.host({ script: 'levels.ts', args, options });
  for (const depth of LIMITS.keys())
    await host.next((message) => message.event === 'stands' && message['depth'] === depth);
  await eventually(() => orphans(area).length === ALL.length, { what: 'all orphans stand' });
  return host;
}

async function tell(host: ContainedHost, command: LevelCommand): Promise<void> {
  const from = host.messages.length;
  host.child.stdin?.write(`${JSON.stringify(command)}\n`);
  const { survivors } = await host.next(
    ({ event, depth }) => event === 'ended' && depth === command.depth,
    from,
  );
  expect(survivors).toEqual([]);
}

/** Ends processes without any environment. */
async function endOrphans({ folder }: Area): Promise<void> {
  await eventually(() => {
    const left = findByArgument(folder);
    endByIdentity(left);
    return left.length === 0;
  });
}

function tagsOf(role: string, { folder }: Area): number {
  const row = findByArgument(folder).find(({ args }) => args.includes(role));
  const limits = readFileSync(`/proc/${row?.pid}/limits`, 'latin1');
  return limits.match(/^Max .* \d{19} +\d{19} /gm)?.length ?? 0;
}

const without = (...gone: readonly string[]) => ALL.filter((role) => !gone.includes(role));
const below = (depth: number) => ALL.filter((role) => Number(role.at(-1)) >= depth);

describe.runIf(CAN_CONTAIN)('hosts within hosts', () => {
  it('take one limit a level, and each ends its own processes', { timeout: 120_000 }, async ({
    area,
  }) => {
    const host = await nest(area);
    const stands = host.messages.filter(({ event }) => event === 'stands');
    expect(stands.map(({ limit }) => limit)).toEqual(LIMITS);
    expect(LIMITS.map((_, depth) => tagsOf(`washed-${depth}`, area))).toEqual([1, 2, 3, 3]);

    await tell(host, { depth: 1, do: 'end-tool' });
    const gone = ['marked-1', 'washed-1'];
    expect(orphans(area)).toEqual(without(...gone));
    await tell(host, { depth: 2, do: 'end-tool' });
    gone.push('marked-2', 'washed-2');
    expect(orphans(area)).toEqual(without(...gone));
    // The fourth level has only its cookie.
    await tell(host, { depth: 3, do: 'end-tool' });
    gone.push('marked-3');
    expect(orphans(area)).toEqual(without(...gone));
    // The levels above have a tag.
    await tell(host, { depth: 0, do: 'end-agent' });
    gone.push('washed-3');
    expect(orphans(area)).toEqual(without(...gone));
    await tell(host, { depth: 0, do: 'end-tool' });
    expect(orphans(area)).toEqual([]);
  });

  it('end their own processes by their guardians', { timeout: 120_000 }, async ({ area }) => {
    const host = await nest(area);
    host.child.stdin?.write(`${JSON.stringify({ depth: 1, do: 'die' } satisfies LevelCommand)}\n`);
    const left = without(...below(1));
    await eventually(() => orphans(area).join() === left.join(), { timeoutMs: 3 * GRACE_MS });
    host.kill('SIGKILL');
    await eventually(() => orphans(area).length === 0, { timeoutMs: 3 * GRACE_MS });
  });

  it('leave processes without environment if tags are off (negative control)', {
    timeout: 120_000,
  }, async ({ area }) => {
    const host = await nest(area, { rlimitTag: false });
    for (const depth of [3, 2, 1]) await tell(host, { depth, do: 'end-tool' });
    expect(orphans(area)).toEqual(without('marked-1', 'marked-2', 'marked-3'));
    host.kill('SIGKILL');
    await host.exited;
    await endOrphans(area);
  });
});
