import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import parse, { type Family } from 'parse-prometheus-text-format';
import { describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { hasProgram } from '../../../kit/programs.ts';
import { sampleProcess, sampleReport } from '../../../kit/sample-report.ts';
import { prometheusText } from '../../../src/doctor/prometheus.ts';
import { type Tally, tallyOf } from '../../../src/doctor/tally.ts';

const PROMTOOL = '/usr/bin/promtool';
const CAN_CHECK = process.platform === 'linux' && hasProgram(PROMTOOL);

const tally: Tally = new Map([
  ['started_total', new Map([['', 5]])],
  ['restarts_total', new Map([['', 1]])],
  ['leftovers_total', new Map([['', 2]])],
  ['survivors_total', new Map([['', 0]])],
  [
    'ended_total',
    new Map([
      ['completed', 3],
      ['crashed', 1],
    ]),
  ],
  ['refused_total', new Map([['HARD_CAP', 1]])],
  ['warnings_total', new Map<string, number>()],
]);

function family(text: string, name: string): Family | undefined {
  return parse(text).find((one) => one.name === `agent_supervisor_${name}`);
}

describe('the Prometheus text', () => {
  it('has every figure, read by a parser', () => {
    const text = prometheusText(sampleReport(), tally);
    const value = (name: string) => family(text, name)?.metrics;
    expect(value('pool_slots')).toEqual([{ value: '2' }]);
    expect(value('pool_oldest_wait_seconds')).toEqual([{ value: '1.5' }]);
    expect(value('check_status')).toEqual([
      { value: '0', labels: { check: 'guardian' } },
      { value: '1', labels: { check: 'state-dir' } },
    ]);
    expect(value('trees_resident_memory_bytes')).toEqual([
      { value: '2000000', labels: { kind: 'agent' } },
    ]);
    expect(value('trees_cpu_cores')).toEqual([{ value: '0.5', labels: { kind: 'agent' } }]);
    expect(value('ended_total')).toEqual([
      { value: '3', labels: { cause: 'completed' } },
      { value: '1', labels: { cause: 'crashed' } },
    ]);
    expect(value('leftovers_total')).toEqual([{ value: '2' }]);
    expect(value('survivors_total')).toEqual([{ value: '0' }]);
    expect(value('refused_total')).toEqual([{ value: '1', labels: { code: 'HARD_CAP' } }]);
    expect(value('warnings_total')).toBeUndefined();
    expect(value('host_tasks_limit')).toBeUndefined();
    for (const { name, type } of parse(text)) {
      expect(type).toBe(name.endsWith('_total') ? 'COUNTER' : 'GAUGE');
    }
  });

  it('has no session, and a limited number of kinds', () => {
    const processes = Array.from({ length: 500 }, (_, at) =>
      sampleProcess({ kind: `kind "${at}"\\\n`, sessionId: `session-${at}` }),
    );
    const text = prometheusText(sampleReport({ processes }), tally);
    expect(text).not.toContain('session-');
    const kinds = family(text, 'processes_alive')?.metrics ?? [];
    expect(kinds).toHaveLength(31);
    expect(kinds[0]?.labels).toEqual({ kind: 'kind "0"\\\n' });
    expect(kinds.at(-1)).toEqual({ value: '470', labels: { kind: 'other' } });
  });

  it('can be written from outside the host, too', () => {
    const text = prometheusText(sampleReport({ supervisor: null }), tally);
    expect(family(text, 'pool_slots')).toBeUndefined();
    expect(family(text, 'processes_alive')).toBeDefined();
  });

  it.runIf(CAN_CHECK)('passes promtool check metrics', async () => {
    const text = prometheusText(sampleReport(), tally);
    const checked = promisify(execFile)(PROMTOOL, ['check', 'metrics']);
    checked.child.stdin?.end(text);
    await expect(checked).resolves.toEqual({ stdout: '', stderr: '' });
  });
});

describe('the tally', () => {
  it('counts an event once, with any number of handlers', () => {
    using fake = new FakeSupervision();
    const one = tallyOf(fake.supervisor);
    expect(tallyOf(fake.supervisor)).toBe(one);
    const { emit } = fake.supervisor.internals;
    emit('warning', { code: 'SWEEP', message: 'A sweep failed.' });
    emit('warning', { code: 'SWEEP', message: 'A sweep failed.' });
    expect([...(one.get('warnings_total') ?? [])]).toEqual([['SWEEP', 2]]);
  });
});
