import { describe, expect, it } from 'vitest';
import {
  type DuplicateVerdict,
  type Holder,
  judgeDuplicate,
  type OnDuplicate,
} from '../../../src/policy/conversation-rules.ts';

describe('judgeDuplicate', () => {
  const POLICIES: readonly OnDuplicate[] = ['replace', 'takeover', 'reject', 'allow'];
  const TABLE: Readonly<Record<Holder, readonly DuplicateVerdict[]>> = {
    nobody: ['start', 'start', 'start', 'start'],
    us: ['end ours', 'end ours', 'busy', 'share'],
    another: ['busy', 'end theirs', 'busy', 'share'],
    'dead host': ['recover', 'recover', 'recover', 'recover'],
    silent: ['wait', 'wait', 'wait', 'share'],
    'out of reach': ['busy', 'busy', 'busy', 'share'],
    unproven: ['busy', 'busy', 'busy', 'share'],
  };
  const cases = Object.entries(TABLE).flatMap(([holder, verdicts]) =>
    POLICIES.map((policy, at) => [holder as Holder, policy, verdicts[at]] as const),
  );

  it.each(cases)('held by %s, %s: %s', (holder, policy, verdict) => {
    expect(judgeDuplicate(holder, policy, false)).toBe(verdict);
  });

  it.each(cases)('held by %s, %s, with an id that is to be new', (holder, policy) => {
    const free = { nobody: 'start', 'dead host': 'recover', silent: 'wait' }[holder as string];
    expect(judgeDuplicate(holder, policy, true)).toBe(free ?? 'busy');
  });
});
