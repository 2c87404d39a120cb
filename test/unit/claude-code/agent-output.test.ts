// The messages that tell of an agent's turns; lines as the real agent writes them (SDK 0.3.330).
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import { AgentOutput } from '../../../src/claude-code/agent-output.ts';

const RESULT = {
  duration_api_ms: 80,
  stop_reason: 'end_turn',
  session_id: '7dd2f498',
  usage: { input_tokens: 20, type: 'assistant' },
  result: 'All "done" \\ with {"type":"user"} \n and [more]',
  type: 'result',
  subtype: 'success',
};
const INIT = { type: 'system', subtype: 'init', cwd: '/tmp', session_id: '7dd2f498', tools: ['a'] };
const ASSISTANT = { type: 'assistant', message: { content: [{ type: 'text', text: 'x' }] } };
const USER = { type: 'user', message: { role: 'user', content: [{ type: 'tool_result' }] } };
const state = (state: string) => ({ type: 'system', subtype: 'session_state_changed', state });
const tasks = (...tasks: object[]) => ({
  type: 'system',
  subtype: 'background_tasks_changed',
  tasks,
});
const TASK = { task_id: 'b', task_type: 'local_bash', tasks: [], type: 'result' };
const ANSWER = {
  type: 'control_response',
  response: { subtype: 'success', response: { type: 'assistant', commands: [{ name: 'x' }] } },
};

const TURNS: readonly [name: string, frames: readonly (object | string)[], turnOver: boolean][] = [
  ['nothing at all', [], false],
  ['an answer to the host', [ANSWER], false],
  ['a result', [RESULT], true],
  ['a whole turn', [ANSWER, state('running'), INIT, ASSISTANT, USER, ASSISTANT, RESULT], true],
  ['a running tool', [INIT, ASSISTANT], false],
  ['a result, then idle', [RESULT, state('idle')], true],
  ['a result, then an answer to the host', [RESULT, ANSWER], true],
  ['a result, then keep-alives', [RESULT, { type: 'keep_alive' }, { type: 'keep_alive' }], true],
  ['a result, then something new', [RESULT, { type: 'from_the_future', state: 'running' }], true],
  ['a result, then another turn', [RESULT, state('running')], false],
  ['a result, then another turn of an older agent', [RESULT, INIT], false],
  ['a result, then parts of a message', [RESULT, { type: 'stream_event', event: {} }], false],
  ['a result, then a message of a subagent', [RESULT, ASSISTANT], false],
  ['a background task', [INIT, ASSISTANT, tasks(TASK), USER, ASSISTANT, RESULT], false],
  ['a background task that has ended', [tasks(TASK), RESULT, tasks()], true],
  ['two background tasks, one of which has ended', [tasks(TASK, TASK), RESULT, tasks(TASK)], false],
  ['a list of tasks in another message', [RESULT, { ...ANSWER, tasks: [TASK] }], true],
  ['a result, then lines that are no messages', [RESULT, 'noise', '', '[1]', '"type"', '}'], true],
  ['lines that look like messages', ['x{"type":"result"}', '[{"type":"result"}]'], false],
  ['a result with blanks', ['{ "subtype" : "success" , "type" : "result" }'], true],
  ['a result that is cut off', [JSON.stringify(RESULT).slice(0, 40)], false],
  ['a result in a text', [{ type: 'x', text: JSON.stringify(RESULT) }], false],
  ['a key that is too long', [{ ['t'.repeat(500)]: 'result', type: 'assistant' }], false],
];

const lines = (frames: readonly (object | string)[]): Buffer =>
  Buffer.from(
    frames
      .map((frame) => `${typeof frame === 'string' ? frame : JSON.stringify(frame)}\n`)
      .join(''),
  );

describe('the end of a turn', () => {
  it.for(TURNS)('is known after %s', ([, frames, turnOver]) => {
    const reader = new AgentOutput();
    reader.push(lines(frames));
    expect(reader.turnOver).toBe(turnOver);
  });

  it.for(TURNS)('is known after %s, byte by byte', ([, frames, turnOver]) => {
    const reader = new AgentOutput(() => undefined);
    for (const byte of lines(frames)) reader.push(Uint8Array.of(byte));
    expect(reader.turnOver).toBe(turnOver);
  });

  it('is known only when the whole message has come', () => {
    const reader = new AgentOutput();
    const line = lines([RESULT]);
    reader.push(line.subarray(0, -1));
    expect(reader.turnOver).toBe(false);
    reader.push(line.subarray(-1));
    expect(reader.turnOver).toBe(true);
  });

  it('is known however messages are cut, and whatever texts and keys are in them', () => {
    const noise = fc.dictionary(
      fc.string({ unit: 'binary' }).filter((key) => !(key in RESULT) && key !== '__proto__'),
      fc.jsonValue({ stringUnit: 'binary' }),
    );
    const frame = fc
      .tuple(noise, fc.constantFrom('result', 'assistant', 'keep_alive'), noise)
      .map(([before, type, after]) => ({ ...before, type, ...after, type_: 0 }));
    const cuts = fc.array(fc.nat(60), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(frame), cuts, (frames, sizes) => {
        const reader = new AgentOutput();
        const bytes = lines(frames);
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const size = (sizes[cut % sizes.length] ?? 0) + 1;
          reader.push(bytes.subarray(at, at + size));
          at += size;
        }
        const last = frames.map(({ type }) => type).findLast((type) => type !== 'keep_alive');
        expect(reader.turnOver).toBe(last === 'result');
      }),
      runs(500, { costly: 10 }),
    );
  });
});

describe('many messages at once', () => {
  // From a fast agent most of them are not parsed at all.
  const quoted = fc.string({ unit: fc.constantFrom('"', '\\', 'a', '\n', '{', '[') });
  const frame = fc.oneof(
    fc.constantFrom<object | string>(...TURNS.flatMap(([, frames]) => frames)),
    fc.record({
      text: quoted,
      type: fc.constantFrom('result', 'assistant', 'x'),
      session_id: quoted,
    }),
    fc.record({ type: fc.constantFrom('result', 'user'), in: fc.array(quoted) }),
    fc.constantFrom<object | string>(tasks(), tasks(TASK), INIT, 'noise', '{"cut off":"'),
  );

  const told = (bytes: Buffer, sizes: readonly number[], watchesTurns?: boolean) => {
    const ids: string[] = [];
    const reader = new AgentOutput((id) => ids.push(id), watchesTurns);
    for (let at = 0, cut = 0; at < bytes.length; cut++) {
      const size = sizes[cut % sizes.length] ?? 1;
      reader.push(bytes.subarray(at, at + size));
      at += size;
    }
    return { ids, turnOver: reader.turnOver };
  };

  it('give the same result as byte by byte', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 40 }), cuts, (frames, sizes) => {
        const bytes = lines(frames);
        const one = told(bytes, [1]);
        expect(told(bytes, sizes)).toEqual(one);
        expect(told(bytes, sizes, false).ids).toEqual(one.ids);
      }),
      runs(500, { costly: 10 }),
    );
  });
});

describe("the agent's session id", () => {
  const idsOf = (frames: readonly (object | string)[]): string[] => {
    const ids: string[] = [];
    new AgentOutput((id) => ids.push(id)).push(lines(frames));
    return ids;
  };

  it.for<[string, (object | string)[], string[]]>([
    ['reported from the first message that has it', [ANSWER, INIT, RESULT], ['7dd2f498']],
    ['reported once', [INIT, { ...INIT, session_id: 'other' }], ['7dd2f498']],
    ['reported wherever it stands', [RESULT], ['7dd2f498']],
    ['not reported from inside a message', [{ type: 'x', message: { session_id: 'inner' } }], []],
    [
      'not reported if it is no text',
      [{ session_id: null }, { session_id: 5 }, { session_id: '' }],
      [],
    ],
    ['not reported if it is too long', [{ session_id: 'x'.repeat(1000) }], []],
  ])('is %s', ([, frames, ids]) => {
    expect(idsOf(frames)).toEqual(ids);
  });
});

describe('a message of many megabytes', () => {
  const text = 'a "quoted" text \\ with ümläuts\n'.repeat(2 ** 19);
  it.for([
    ['that begins with its type', { type: 'assistant', text }, false],
    ['that ends with its type', { text, type: 'result' }, true],
  ] as const)('%s takes next to no memory', ([, frame, turnOver]) => {
    const reader = new AgentOutput();
    const bytes = lines([RESULT, frame]);
    const before = process.memoryUsage();
    for (let at = 0; at < bytes.length; at += 65_536) reader.push(bytes.subarray(at, at + 65_536));
    const after = process.memoryUsage();
    expect(reader.turnOver).toBe(turnOver);
    expect(
      after.arrayBuffers + after.external - before.arrayBuffers - before.external,
    ).toBeLessThan(2 ** 20);
  });
});
