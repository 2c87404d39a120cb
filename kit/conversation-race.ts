// Hosts that want one conversation at the same moment; the kernel counts their agents.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ExitReport, SpawnRequest } from '../src/index.ts';
import { type Area, type ContainedHost, GRACE_MS, type Message } from './containment.ts';
import { eventually, isAlive, type ProcessRow } from './process-table.ts';

const AGENT = join(import.meta.dirname, '../test/fixtures/conversation-agent.mjs');

export interface Outcome {
  readonly host: ContainedHost;
  readonly answer: Message;
}

export class Race {
  readonly area: Area;
  readonly hosts: ContainedHost[] = [];
  readonly #guardian: boolean;
  readonly #overlaps: string;

  constructor(area: Area, { guardian = false }: { guardian?: boolean } = {}) {
    this.area = area;
    this.#guardian = guardian;
    this.#overlaps = join(area.folder, 'overlaps');
  }

  /** Starts hosts until there are `count`, all of which wait for a command. */
  async gather(count: number): Promise<void> {
    // One by one: on a busy machine, ten that load at once take too long.
    while (this.hosts.length < count) {
      const host = this.area.host({ options: { guardian: this.#guardian } });
      await host.ask({ do: 'start' });
      this.hosts.push(host);
    }
  }

  /** The lines that two agents of one conversation wrote when they met. */
  get overlaps(): string {
    return existsSync(this.#overlaps) ? readFileSync(this.#overlaps, 'utf8') : '';
  }

  request(uuid: string, more: Partial<SpawnRequest> = {}, mode: string[] = []): SpawnRequest {
    const args = [AGENT, uuid, this.#overlaps, ...mode];
    return { command: process.execPath, args, conversationId: uuid, ...more };
  }

  /** Makes all hosts request it at the same moment. */
  run(request: SpawnRequest): Promise<Outcome[]> {
    return Promise.all(
      this.hosts.map(async (host) => ({ host, answer: await host.ask({ do: 'spawn', request }) })),
    );
  }

  agents(uuid: string): ProcessRow[] {
    return this.area.tree().filter(({ args }) => args[1] === AGENT && args[2]?.startsWith(uuid));
  }

  /** Expects one host to have it, and the others to be refused. */
  async replace(uuid: string): Promise<Outcome> {
    const outcomes = await this.run(this.request(uuid, { onDuplicate: 'replace' }));
    const won = outcomes.filter(({ answer }) => answer.done === 'spawn');
    const refused = outcomes.filter(({ answer }) => answer['code'] === 'CONVERSATION_BUSY');
    expect(
      [won.length, refused.length],
      JSON.stringify(outcomes.map(({ answer }) => answer)),
    ).toEqual([1, this.hosts.length - 1]);
    expect(this.agents(uuid).map(({ pid }) => pid)).toEqual([won[0]?.answer['pid']]);
    return won[0] as Outcome;
  }

  /** Expects all hosts to have it in turn or to be refused; returns the last one, which still has it. */
  async takeOver(uuid: string, mode: string[] = []): Promise<Outcome> {
    const outcomes = await this.run(this.request(uuid, { onDuplicate: 'takeover' }, mode));
    const told = JSON.stringify(outcomes.map(({ answer }) => answer));
    const started = outcomes.filter(({ answer }) => answer.done === 'spawn');
    for (const { answer } of outcomes)
      if (answer.done !== 'spawn') expect(answer['code'], told).toBe('CONVERSATION_BUSY');
    const [last] = await eventually(
      async () => {
        const alive = new Set(this.agents(uuid).map(({ pid }) => pid));
        const living = started.filter(({ answer }) => alive.has(answer['pid'] as number));
        return living.length === 1 && living;
      },
      { what: `one of ${told} lives` },
    );
    for (const outcome of started) {
      if (outcome === last) continue;
      const { cause, intentional } = await reportOf(outcome);
      expect([cause, intentional], told).toEqual(['duplicate', true]);
    }
    return last as Outcome;
  }

  /** Kills a host with its agent, and expects another host to go on with the conversation. */
  async inherit(uuid: string, { host }: Outcome): Promise<Outcome> {
    const left = this.agents(uuid);
    host.kill('SIGKILL');
    await host.exited;
    this.hosts.splice(this.hosts.indexOf(host), 1);
    const [heir = host] = this.hosts;
    const answer = await heir.ask({ do: 'spawn', request: this.request(uuid, {}, ['heirs']) });
    expect(answer).toMatchObject({ done: 'spawn' });
    expect(left.filter(isAlive)).toEqual([]);
    return { host: heir, answer };
  }

  /** Ends the winner, and expects nothing of the conversation to be left. */
  async end(uuid: string, { host, answer }: Outcome): Promise<void> {
    const ended = await host.ask({ do: 'terminate', id: answer['id'] as string });
    expect(ended['report']).toMatchObject({ survivors: [] });
    expect(this.agents(uuid)).toEqual([]);
  }

  /** Ends the hosts, and expects an empty state directory and no overlap. */
  async finish(): Promise<void> {
    for (const host of this.hosts) await host.ask({ do: 'sweep' });
    for (const host of this.hosts) await host.ask({ do: 'stop' });
    expect(await this.area.survivors(GRACE_MS)).toEqual([]);
    expect(this.area.files()).toEqual([]);
    expect(this.overlaps).toBe('');
    const warnings = this.hosts.flatMap(({ messages }) =>
      messages.filter(({ event }) => event === 'warning'),
    );
    expect(warnings).toEqual([]);
  }
}

async function reportOf({ host, answer }: Outcome): Promise<ExitReport> {
  const { report } = await host.ask({ do: 'exited', id: answer['id'] as string });
  return report as ExitReport;
}

/** Runs rounds: all at once, first with a refusal, then by takeover, then by inheritance. */
export async function race(
  area: Area,
  size: { hosts: number; rounds: number; guardian: boolean },
): Promise<void> {
  const one = new Race(area, size);
  for (let round = 0; round < size.rounds; round++) {
    await one.gather(size.hosts);
    const uuid = crypto.randomUUID();
    await one.end(uuid, await one.replace(uuid));
    const last = await one.takeOver(uuid, ['heirs']);
    await one.end(uuid, await one.inherit(uuid, last));
    expect(one.overlaps).toBe('');
  }
  await one.finish();
}
