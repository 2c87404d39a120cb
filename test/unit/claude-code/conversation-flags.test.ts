import { describe, expect, it } from 'vitest';
import { conversationOf } from '../../../src/claude-code/conversation-flags.ts';

const A = '0c51e2a4-52c1-4b9e-8d5c-0b0f5a7c1e11';
const B = 'f3b9a7d2-6d0e-4b7a-9a52-7f2f6f1d8c22';

describe('conversationOf', () => {
  it.each<[what: string, args: readonly string[], key: string | undefined, isNew?: boolean]>([
    ['no arguments', [], undefined],
    ['nothing about a conversation', ['-p', 'hello', '--verbose'], undefined],
    ['--resume UUID', ['--resume', A], A],
    ['--resume=UUID', [`--resume=${A}`], A],
    ['-r UUID', ['-r', A], A],
    ['-r=UUID', [`-r=${A}`], A],
    ['-rUUID', [`-r${A}`], A],
    ['among others', ['--output-format', 'stream-json', '--resume', A, '-p', 'hello'], A],
    ['upper case is the same one', ['--resume', A.toUpperCase()], A],
    ['the later of two', ['--resume', A, '--resume', B], B],
    ['the later of two spellings', ['--resume', A, '-r', B], B],
    ['--session-id UUID', ['--session-id', A], A, true],
    ['--session-id=UUID', [`--session-id=${A}`], A, true],
    ['--session-id in upper case', ['--session-id', A.toUpperCase()], A, true],
    ['a title to search for', ['--resume', 'my refactoring'], undefined],
    ['a title joined', ['--resume=my refactoring'], undefined],
    ['almost a UUID', ['--resume', A.slice(1)], undefined],
    ['more than a UUID', ['--resume', `${A}0`], undefined],
    ['a file of that name', ['--resume', `${A}.jsonl`], undefined],
    ['a missing value', ['--resume'], undefined],
    ['an empty value', ['--resume='], undefined],
    ['the next flag instead of a value', ['--resume', '--session-id', A], A, true],
    ['--continue names none', ['--continue'], undefined],
    ['a value in two lines', [`--resume=${A}\n`], undefined],
    ['after --', ['--', '--resume', A], undefined],
    ['a value after --', ['--resume', '--', A], undefined],
    ['before --', ['--resume', A, '--', '--resume', B], A],
    ['other flags that begin so', [`--resume-at=${A}`, `--session-ids=${B}`], undefined],
    ['a fork without a new id', ['--resume', A, '--fork-session'], undefined],
    ['a fork with its new id', ['--resume', A, '--fork-session', '--session-id', B], B, true],
    ['a fork, in any order', ['--fork-session', `--session-id=${B}`, `--resume=${A}`], B, true],
    ['what no agent takes: both, and no fork', ['--resume', A, '--session-id', B], A, true],
    ['a fork after -- is none', ['--resume', A, '--', '--fork-session'], A],
  ])('%s', (_, args, key, isNew = false) => {
    expect(conversationOf(args)).toEqual({ key, isNew });
  });

  it.each<[what: string, args: readonly string[], id: string, key: string, isNew?: boolean]>([
    ['the caller names it', [], 'chat 7', 'chat 7'],
    ['in any case', [], A.toUpperCase(), A],
    ['over what is resumed', ['--resume', A], B, B],
    ['over a fork, which has no id yet', ['--resume', A, '--fork-session'], B, B],
    ['over the new id of a fork', ['--resume', A, '--fork-session', '--session-id', A], B, B],
    ['the new id of a fork', ['--resume', A, '--fork-session', '--session-id', B], B, B, true],
    ['the very id that is to be new', ['--session-id', A], A, A, true],
    ['another one than is to be new', ['--session-id', A], B, B],
  ])('conversationId: %s', (_, args, id, key, isNew = false) => {
    expect(conversationOf(args, id)).toEqual({ key, isNew });
  });
});
