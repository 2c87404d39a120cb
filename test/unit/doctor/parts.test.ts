import { describe, expect, it } from 'vitest';
import { bearer, TOKEN } from '../../../kit/doctor-site.ts';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { sampleProcess, sampleReport } from '../../../kit/sample-report.ts';
import { count, showBytes, showDuration, showUsd } from '../../../src/doctor/format.ts';
import { doctorHandler } from '../../../src/doctor/handler.ts';
import { html } from '../../../src/doctor/html.ts';
import { reportPage } from '../../../src/doctor/page.ts';
import { sharedReport } from '../../../src/doctor/shared-report.ts';
import type { DoctorReport } from '../../../src/inspect/report.ts';

describe('number formats', () => {
  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [1000, '1 s'],
    [59_999, '59 s'],
    [250_000, '4 min 10 s'],
    [3_600_000, '1 h'],
    [11_100_000, '3 h 5 min'],
    [187_200_000, '2 d 4 h'],
  ])('%d ms is %s', (ms, text) => expect(showDuration(ms)).toBe(text));

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [3_449_000, '3.4 MB'],
    [99_960_000, '100 MB'],
    [999_600_000, '1.0 GB'],
    [2e18, '2000 PB'],
  ])('%d bytes are %s', (bytes, text) => expect(showBytes(bytes)).toBe(text));

  it('formats dollars and counts', () => {
    expect([0, 0.0123, 0.1, 12.345].map(showUsd)).toEqual(['$0.00', '$0.0123', '$0.10', '$12.35']);
    expect([count(1, 'token'), count(12_345, 'token'), count(2, 'process', 'processes')]).toEqual([
      ...['1 token', '12,345 tokens', '2 processes'],
    ]);
  });
});

describe('HTML', () => {
  it('escapes everything but HTML', () => {
    const list = [html`<li>${'<&>'}</li>`, false, null, undefined, 5];
    expect(html`<ul title="${`"'`}">${list}</ul>`.text).toBe(
      '<ul title="&quot;&#39;"><li>&lt;&amp;&gt;</li>5</ul>',
    );
  });
});

describe('the page', () => {
  const show = (more: Partial<DoctorReport> = {}) =>
    reportPage(sampleReport(more), { base: './', formToken: 'form', canLogOut: false });

  it('draws descendants below their parent, and orphans below the root', () => {
    const descendants = [
      { pid: 2, command: 'a', ppid: 101 },
      { pid: 3, command: 'b', ppid: 2 },
      { pid: 4, command: 'c', ppid: 1 },
    ];
    const page = show({ processes: [sampleProcess({ descendants })] });
    const tree = /<ul class="tree">.*<\/ul>/
      .exec(page)?.[0]
      .replace(/<\/?span[^>]*>| data-key="\d+"/g, '');
    expect(tree).toBe(
      '<ul class="tree"><li>a 2<ul class="tree"><li>b 3</li></ul></li><li>c 4 left its parent</li></ul>',
    );
  });

  it("has buttons only for this host's processes, and no stop button after a stop", () => {
    const theirs = sampleProcess({ state: null, holdsSlot: null, sessionId: 'theirs' });
    const page = show({ processes: [theirs], supervisor: null });
    expect(page).not.toContain('<form method="post"');
    expect(show()).toContain('aria-label="End node (pid 101)"');
    expect(show()).toContain('aria-label="Reap session one"');
  });
});

describe('the shared report', () => {
  it('makes one report for requests that wait, and a new one for those during it', async () => {
    const clock = new FakeClock();
    const looks: PromiseWithResolvers<DoctorReport>[] = [];
    const ask = sharedReport(() => {
      const look = Promise.withResolvers<DoctorReport>();
      looks.push(look);
      return look.promise;
    }, clock);
    const first = [ask(), ask()];
    await clock.advance(0);
    const second = Array.from({ length: 50 }, ask);
    await clock.advance(1000);
    expect(looks).toHaveLength(1);
    looks[0]?.resolve(sampleReport({ tookMs: 1 }));
    expect((await Promise.all(first)).map(({ tookMs }) => tookMs)).toEqual([1, 1]);
    await clock.advance(149);
    expect(looks, 'no sooner').toHaveLength(1);
    await clock.advance(1);
    expect(looks).toHaveLength(2);
    looks[1]?.reject(new Error('cannot look'));
    await expect(Promise.allSettled(second)).resolves.toHaveLength(50);
    const third = ask();
    await clock.advance(150);
    looks[2]?.resolve(sampleReport());
    await expect(third).resolves.toMatchObject({ version: 1 });
  });

  it('reports a failure to the host, and no detail of it to the client', async () => {
    using fake = new FakeSupervision();
    const handler = doctorHandler(fake.supervisor, { token: TOKEN });
    fake.os.environment = () => {
      throw new Error('the secret reason');
    };
    const request = new Request('http://127.0.0.1/doctor', { headers: bearer() });
    const response = await handler(request);
    expect([response.status, await response.json()]).toEqual([
      500,
      { error: 'This could not be answered; a warning of the supervisor says why.' },
    ]);
    expect(fake.eventsOf('warning')).toMatchObject([
      { code: 'DOCTOR', cause: expect.objectContaining({ message: 'the secret reason' }) },
    ]);
  });
});
