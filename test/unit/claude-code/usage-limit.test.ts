import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type UsageLimit, UsageLimitReader } from '../../../src/claude-code/usage-limit.ts';

const INFO = {
  status: 'rejected',
  resetsAt: 1778565600,
  rateLimitType: 'five_hour',
  overageStatus: 'rejected',
  overageDisabledReason: 'org_level_disabled_until',
  isUsingOverage: false,
};
const event = (info: object) => ({
  type: 'rate_limit_event',
  rate_limit_info: info,
  uuid: '0c51e2a4-52c1-4b9e-8d5c-0b0f5a7c1e11',
  session_id: 's',
});
const REACHED = { type: 'five_hour', resetsAt: 1_778_565_600_000 };

/** Reads lines in pieces of these sizes, one after the other. */
function read(text: string, sizes: readonly number[] = [65_536]): UsageLimit[] {
  const limits: UsageLimit[] = [];
  const reader = new UsageLimitReader((limit) => limits.push(limit));
  const bytes = Buffer.from(text);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    reader.push(Uint8Array.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return limits;
}
const lines = (...frames: readonly unknown[]) =>
  frames.map((frame) => `${typeof frame === 'string' ? frame : JSON.stringify(frame)}\n`).join('');

describe('a usage limit', () => {
  it('is found in the frame that reports it', () => {
    expect(read(lines(event(INFO)))).toEqual([REACHED]);
  });

  it.each([
    ['a limit that is near', event({ ...INFO, status: 'allowed_warning' })],
    ['one that is far, without more to buy', event({ ...INFO, status: 'allowed' })],
    ['one that the account pays to go beyond', event({ ...INFO, isUsingOverage: true })],
    ['no figures', { type: 'rate_limit_event' }],
    ['another frame', { ...event(INFO), type: 'assistant' }],
    ['a tool’s output that quotes one', { type: 'user', text: JSON.stringify(event(INFO)) }],
    ['no JSON', 'rate_limit_event rejected'],
    ['a list', '["rate_limit_event"]'],
    ['null', 'null "rate_limit_event"'],
  ])('is not found in %s', (_, frame) => {
    expect(read(lines(frame))).toEqual([]);
  });

  it.each([
    [{ status: 'rejected' }, { type: undefined, resetsAt: undefined }],
    [
      { status: 'rejected', resetsAt: 'soon', rateLimitType: 7 },
      { type: undefined, resetsAt: undefined },
    ],
    [
      { status: 'rejected', resetsAt: -1 },
      { type: undefined, resetsAt: undefined },
    ],
  ])('need not say when it resets: %o', (info, limit) => {
    expect(read(lines(event(info)))).toEqual([limit]);
  });

  it('is found wherever the output is cut', () => {
    const other = fc.constantFrom<unknown>(
      { type: 'assistant', text: 'ä'.repeat(50) },
      { type: 'user', text: 'x'.repeat(20_000) },
      '',
      'rate_limit_event',
    );
    const frame = fc.oneof(other, fc.constant(event(INFO)));
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }),
        (frames, sizes) => {
          const reached = frames.filter(
            (one) => (one as { type?: string }).type === 'rate_limit_event',
          );
          expect(read(lines(...frames), sizes)).toEqual(reached.map(() => REACHED));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is not looked for in a line without end', () => {
    const endless = `{"type":"rate_limit_event","pad":"${'x'.repeat(20_000)}`;
    expect(read(`${endless}\n${lines(event(INFO))}`, [1000])).toEqual([REACHED]);
  });
});
