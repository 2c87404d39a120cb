import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import {
  isSameProcess,
  judgeOwner,
  type Owner,
  type OwnerVerdict,
} from '../../../src/tree/identity.ts';

describe('isSameProcess', () => {
  const recorded = { pid: 7, startTime: '100' };

  it.each([
    ['itself', recorded, { pid: 7, startTime: '100' }, true],
    ['a later process with its pid', recorded, { pid: 7, startTime: '101' }, false],
    ['another pid', recorded, { pid: 8, startTime: '100' }, false],
    ['no process', recorded, undefined, false],
    [
      'a process with an unknown start time',
      { pid: 7, startTime: undefined },
      { pid: 7, startTime: '100' },
      false,
    ],
  ])('compares with %s', (_what, one, now, same) => {
    expect(isSameProcess(one, now)).toBe(same);
  });

  it('proves nothing without a start time', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string({ minLength: 1, maxLength: 32 }), (number, startTime) => {
        const unknown = { pid: number, startTime: undefined };
        expect(isSameProcess(unknown, { pid: number, startTime })).toBe(false);
      }),
      runs(1000),
    );
  });
});

describe('judgeOwner', () => {
  const self = { machine: 'here', pid: 50, startTime: '10', bootId: 'boot', pidNamespace: 'ns' };
  const owner: Owner = { ...self, pid: 60, startTime: '20', instance: 'another' };
  const alive = { pid: 60, startTime: '20', alive: true };

  const CASES: [what: string, more: Partial<Owner>, now: typeof alive | undefined, OwnerVerdict][] =
    [
      ['that is running', {}, alive, 'alive'],
      ['that is gone', {}, undefined, 'dead'],
      ['that is a zombie', {}, { ...alive, alive: false }, 'dead'],
      ['whose pid belongs to another process', {}, { ...alive, startTime: '21' }, 'dead'],
      ['whose pid may be forged', {}, { ...alive, startTime: '' }, 'unproven'],
      ['that is running, under another machine name', { machine: 'there' }, alive, 'alive'],
      ['that is gone, under another machine name', { machine: 'there' }, undefined, 'dead'],
      ['of another machine and boot', { machine: 'there', bootId: 'b' }, undefined, 'elsewhere'],
      ['of another container', { pidNamespace: 'other' }, undefined, 'elsewhere'],
      ['of an earlier boot', { bootId: 'earlier' }, alive, 'rebooted'],
      [
        'of an earlier boot or a namesake, with a heartbeat',
        { bootId: 'earlier', heartbeat: '0123456789ab' },
        alive,
        'elsewhere',
      ],
      [
        'of another machine and an unknown boot',
        { machine: 'there', bootId: '' },
        undefined,
        'elsewhere',
      ],
      [
        'of an earlier boot and its container',
        { bootId: 'b', pidNamespace: 'o' },
        alive,
        'rebooted',
      ],
      ['of an unknown boot', { bootId: '' }, undefined, 'unproven'],
      ['with an unknown start time', { startTime: undefined }, undefined, 'unproven'],
      [
        'with an unknown start time, elsewhere',
        { startTime: undefined, pidNamespace: 'o' },
        undefined,
        'elsewhere',
      ],
    ];
  it.each(CASES)('judges an owner %s', (_what, more, now, verdict) => {
    const read = (pid: number) => (pid === 60 ? now : undefined);
    expect(judgeOwner({ ...owner, ...more }, self, read)).toBe(verdict);
  });

  it('proves no boot before its own is known', () => {
    expect(judgeOwner(owner, { ...self, bootId: '' }, () => undefined)).toBe('unproven');
    const both = { ...owner, bootId: '' };
    expect(judgeOwner(both, { ...self, bootId: '' }, () => undefined)).toBe('dead');
    const elsewhere = { ...both, machine: 'there' };
    expect(judgeOwner(elsewhere, { ...self, bootId: '' }, () => undefined)).toBe('elsewhere');
  });

  it('reads no process where pids mean nothing', () => {
    const read = () => expect.unreachable();
    for (const more of [
      { machine: 'x', bootId: 'x' },
      { bootId: 'x' },
      { pidNamespace: 'x' },
      { startTime: undefined },
    ])
      judgeOwner({ ...owner, ...more }, self, read);
  });
});
