import { describe, expect } from 'vitest';
import {
  type Asking,
  ask,
  bearer,
  formTokenIn,
  HTML,
  MOUNT,
  type Site,
  serve,
  TOKEN,
} from '../../../kit/doctor-site.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import { doctorHandler } from '../../../src/doctor/handler.ts';
import { type NodeListenerOptions, toNodeListener } from '../../../src/doctor/node-listener.ts';
import type { DoctorHandlerOptions } from '../../../src/doctor/options.ts';
import type { Supervisor } from '../../../src/index.ts';

const it = base.extend('site', async ({ supervise }, { onCleanup }) => {
  const sites: Site[] = [];
  onCleanup(async () => {
    await Promise.all(sites.map((site) => site.close()));
  });
  return async (
    options: DoctorHandlerOptions | undefined = { token: TOKEN },
    node: NodeListenerOptions = {},
    supervisor: Supervisor = supervise(),
  ) => {
    const site = await serve(toNodeListener(doctorHandler(supervisor, options), node));
    sites.push(site);
    return site;
  };
});

/** Logs in, and returns the cookie. */
async function logIn({ url, origin }: Site): Promise<string> {
  const { headers } = await ask(`${url}/login`, {
    method: 'POST',
    headers: { ...HTML, origin },
    body: { token: TOKEN },
  });
  return String(headers['set-cookie']).split(';')[0] ?? '';
}

const WAIVED = { waiveTokenOnLoopback: true };

describe('authentication', () => {
  const ADDRESSES = ['', '/', '/report.json', '/metrics', '/events'];

  it('refuses requests without the token', async ({ site }) => {
    const { url } = await site();
    const wrong = [
      {},
      bearer('another-token-of-them'),
      bearer(`${TOKEN}x`),
      { authorization: 'Basic dGhlOnRva2Vu' },
      { cookie: `agent_supervisor_doctor=${Date.now() + 1e6}.AAAA` },
      { cookie: `agent_supervisor_doctor=${TOKEN}` },
    ];
    for (const address of ADDRESSES) {
      for (const headers of wrong) {
        const { status, text, headers: got } = await ask(url + address, { headers });
        expect([address, status]).toEqual([address, 401]);
        expect(got['www-authenticate']).toBe('Bearer');
        expect(JSON.parse(text)).toEqual({
          error: 'This needs the token: log in, or send it as "Authorization: Bearer".',
        });
      }
    }
    // A token in the address does not count either.
    expect((await ask(`${url}?token=${TOKEN}`)).status).toBe(401);
    expect((await ask(`${url}/report.json`, { headers: bearer() })).status).toBe(200);
  });

  it('refuses all requests when the host has set no token', async ({ site }) => {
    const { url } = await site({});
    for (const token of ['', 'undefined', TOKEN]) {
      const { status, text } = await ask(url, { headers: bearer(token) });
      expect([status, JSON.parse(text).error]).toEqual([
        401,
        'No access: the host has set no token.',
      ]);
    }
    const login = { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } };
    expect((await ask(`${url}/login`, { ...login, body: { token: '' } })).status).toBe(401);
    expect((await ask(url, { headers: HTML })).text).not.toContain('<input');
  });

  it("accepts requests that the host's own authorize accepts", async ({ site }) => {
    const authorize = (request: Request) => request.headers.get('x-user') === 'admin';
    const { url } = await site({ authorize });
    expect((await ask(url, { headers: { 'x-user': 'admin' } })).status).toBe(200);
    expect((await ask(url, { headers: { 'x-user': 'guest' } })).status).toBe(401);
    const headers = { 'x-user': 'admin' };
    expect((await ask(`${url}/stop`, { method: 'POST', headers })).status).toBe(403);
    // Only `true` lets a request in.
    const lax = await site({ authorize: (() => 'no') as never });
    expect((await ask(lax.url)).status).toBe(401);
  });

  it('accepts a login cookie until the logout, and does not put the token into it', async ({
    site,
  }) => {
    const one = await site();
    const cookie = await logIn(one);
    const { text, status } = await ask(one.url, { headers: { ...HTML, cookie } });
    expect(status).toBe(200);
    expect(cookie + text).not.toContain(TOKEN);
    const logout = await ask(`${one.url}/logout`, {
      method: 'POST',
      headers: { ...HTML, cookie, origin: one.origin },
      body: { form: formTokenIn(text) },
    });
    expect([logout.status, logout.headers['location']]).toEqual([303, './']);
    expect(String(logout.headers['set-cookie'])).toMatch(/^agent_supervisor_doctor=; .*Max-Age=0;/);
    // A cookie is valid for one handler only.
    const other = await site();
    expect((await ask(other.url, { headers: { cookie } })).status).toBe(401);
  });

  it('limits the cookie to the path of its page', async ({ site }) => {
    const { url, origin } = await site();
    const login = (headers: Asking['headers'] & object) =>
      ask(`${url}/login`, { method: 'POST', headers, body: { token: TOKEN } });
    const plain = await login({ origin });
    expect(String(plain.headers['set-cookie'])).toMatch(
      /^agent_supervisor_doctor=\d+\.[\w-]{43}; Path=\/api\/admin\/doctor; Max-Age=43200; HttpOnly; SameSite=Strict$/,
    );
    // A proxy ends TLS.
    const secure = await login({
      origin: origin.replace('http:', 'https:'),
      'sec-fetch-site': 'same-origin',
    });
    expect(String(secure.headers['set-cookie'])).toMatch(/; Secure$/);
  });

  it('waives the token only on the loopback, for a loopback name, and without a proxy', async ({
    site,
  }) => {
    const { url, port } = await site({ token: TOKEN }, WAIVED);
    const statusOf = async (headers: Record<string, string>) =>
      (await ask(url, { headers })).status;
    for (const host of [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      'LOCALHOST',
      `[::1]:${port}`,
      '127.1.2.3',
    ]) {
      expect([host, await statusOf({ host })]).toEqual([host, 200]);
    }
    for (const host of [
      'evil.test',
      `evil.test:${port}`,
      '127.0.0.1.evil.test',
      'localhost.evil.test',
      '10.0.0.1',
    ]) {
      expect([host, await statusOf({ host })]).not.toEqual([host, 200]);
    }
    for (const name of ['x-forwarded-for', 'x-forwarded-host', 'forwarded', 'via', 'x-real-ip']) {
      expect([name, await statusOf({ [name]: '127.0.0.1' })]).toEqual([name, 401]);
    }
    expect(await statusOf({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(
      401,
    );
    expect(await statusOf(bearer('a-wrong-token-is-wrong'))).toBe(401);
    const unwaived = await site({ token: TOKEN });
    expect((await ask(unwaived.url)).status).toBe(401);
  });
});

describe('a bad request', () => {
  it('is refused for a method that the route does not have', async ({ site }) => {
    const { url } = await site();
    const table = {
      '': 'GET, HEAD',
      '/report.json': 'GET, HEAD',
      '/metrics': 'GET, HEAD',
      '/events': 'GET, HEAD',
      '/live.js': 'GET, HEAD',
      '/reap': 'POST',
      '/end': 'POST',
      '/stop': 'POST',
      '/login': 'POST',
      '/logout': 'POST',
    };
    for (const [address, allow] of Object.entries(table)) {
      for (const method of allow === 'POST'
        ? ['GET', 'PUT', 'DELETE']
        : ['POST', 'PUT', 'OPTIONS']) {
        const { status, headers } = await ask(url + address, { method, headers: bearer() });
        expect([address, method, status, headers['allow']]).toEqual([address, method, 405, allow]);
      }
    }
    expect((await ask(`${url}/favicon.ico`, { headers: bearer() })).status).toBe(404);
  });

  it('is refused for an action that does not come from the page', async ({ site, supervise }) => {
    const supervisor = supervise();
    const one = await site({ token: TOKEN }, WAIVED, supervisor);
    const { url, origin, port } = one;
    const cookie = await logIn(one);
    const form = formTokenIn((await ask(url, { headers: { ...HTML, cookie } })).text);
    const stop = async (headers: Record<string, string>, body: Record<string, string> = { form }) =>
      (await ask(`${url}/stop`, { method: 'POST', headers, body })).status;
    const own = { cookie, origin };
    for (const headers of [
      { cookie },
      { cookie, origin: 'http://evil.test' },
      { cookie, origin: 'null' },
      { cookie, origin: `http://127.0.0.1:${port + 1}` },
      { cookie, origin: `https://127.0.0.1:${port}` },
      { ...own, 'sec-fetch-site': 'cross-site' },
      { ...own, 'sec-fetch-site': 'same-site' },
      { cookie, origin: 'http://evil.test', 'sec-fetch-site': 'same-origin' },
      // A browser that sends a token: a page of another site must not make it act.
      { ...bearer(), origin: 'http://evil.test' },
      // Waived, and without an origin.
      {},
    ]) {
      expect([headers, await stop(headers)]).toEqual([headers, 403]);
    }
    for (const body of [{}, { form: '' }, { form: `${form}x` }, { form: TOKEN }]) {
      expect(await stop(own, body as Record<string, string>)).toBe(403);
      expect(await stop({ origin }, body as Record<string, string>), 'waived').toBe(403);
    }
    expect(await stop({ origin: 'http://evil.test' }, { form, token: TOKEN })).toBe(403);
    expect(
      (
        await ask(`${url}/login`, {
          method: 'POST',
          headers: { origin: 'http://evil.test' },
          body: { token: TOKEN },
        })
      ).status,
    ).toBe(403);
    expect(supervisor.state).toBe('new');
    expect(await stop(own)).toBe(200);
    expect(supervisor.state).toBe('stopped');
  });

  it('is refused for an unknown target or an unreadable body', async ({ site }) => {
    const { url } = await site();
    const post = async (address: string, body?: Asking['body'], headers = {}) => {
      const asking = { method: 'POST', headers: { ...bearer(), ...headers } };
      const answered = await ask(url + address, body === undefined ? asking : { ...asking, body });
      return [answered.status, JSON.parse(answered.text).error];
    };
    expect(await post('/reap')).toEqual([400, 'The field "target" is missing: whom to end.']);
    expect(await post('/reap', { target: 'none' })).toEqual([404, 'There is no such session.']);
    expect(await post('/end', { target: 'none' })).toEqual([
      404,
      'There is no such process of this host, or it has ended.',
    ]);
    const json = { 'content-type': 'application/json' };
    expect(await post('/end', '{"target":', json)).toEqual([
      400,
      'The body is neither a form nor JSON.',
    ]);
    expect(await post('/end', 'x'.repeat(20_000))).toEqual([413, 'The body is too long.']);
  });

  it('is impossible with invalid options, which throw at once', ({ supervise }) => {
    const supervisor = supervise();
    const make = (options: unknown) => () => doctorHandler(supervisor, options as never);
    expect(make({ tokn: TOKEN })).toThrow(
      'doctorHandler: unknown option "tokn". Did you mean "token"? Known here: token, authorize, maxStreams.',
    );
    expect(make({ token: 'hunter2' })).toThrow(
      'doctorHandler: "token" has 7 characters, but must have at least 16.',
    );
    expect(make({ token: 'hunter2' })).not.toThrow('hunter2');
    expect(make({ token: 5 })).toThrow(/"token" is 5, but must be string/);
    expect(make({ authorize: true })).toThrow(/"authorize" is true, but must be a function/);
    expect(make({ maxStreams: 0 })).toThrow(/"maxStreams" is 0, but must be at least 1/);
    expect(() => doctorHandler({} as never)).toThrow(/is no supervisor of this version/);
    expect(() => toNodeListener({} as never)).toThrow(/"handler" is .*must be a function/);
    expect(() => toNodeListener(() => new Response(), { waive: true } as never)).toThrow(
      /unknown option "options.waive"/,
    );
  });

  it('is refused when it is no valid HTTP request', async ({ site }) => {
    const { url } = await site();
    expect((await ask(url, { headers: { host: 'a b' } })).status).toBe(400);
    expect((await ask(url, { headers: { ...bearer(), host: '127.0.0.1' } })).status).toBe(200);
  });
});

describe('a response', () => {
  it("has the route's content type and strict headers", async ({ site }) => {
    const { url } = await site();
    const of = async (address: string, headers: Record<string, string> = {}) => {
      const answered = await ask(url + address, { headers: { ...bearer(), ...headers } });
      expect(answered.status).toBe(200);
      expect(answered.headers).toMatchObject({
        'content-security-policy': expect.stringMatching(
          /^default-src 'none'; script-src 'self'; style-src 'self';/,
        ),
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'cache-control': 'no-store',
      });
      return answered;
    };
    const report = JSON.parse((await of('')).text);
    expect(report).toMatchObject({ version: 1, host: { pid: process.pid }, processes: [] });
    expect((await of('', HTML)).text).toMatch(/^<!doctype html>/);
    expect(JSON.parse((await of('/report.json', HTML)).text)).toMatchObject({ version: 1 });
    expect((await of('/metrics', HTML)).headers['content-type']).toBe(
      'text/plain; version=0.0.4; charset=utf-8',
    );
    expect((await of('/live.js')).headers['content-type']).toMatch(/^text\/javascript/);
    expect((await of('/live.css')).headers['content-type']).toMatch(/^text\/css/);
    const head = await ask(url, { method: 'HEAD', headers: { ...bearer(), ...HTML } });
    expect([head.status, head.text]).toEqual([200, '']);
  });

  it('has links to the same page, wherever it is mounted', async ({ supervise }) => {
    const handler = doctorHandler(supervise(), { token: TOKEN });
    const headers = { ...bearer(), ...HTML };
    for (const path of ['/', '/doctor', '/doctor/', `${MOUNT}`, `${MOUNT}/`]) {
      const page = `http://host.test${path}`;
      const text = await (await handler(new Request(page, { headers }))).text();
      const script = /<script src="([^"]+)"/.exec(text)?.[1] ?? '';
      const { pathname } = new URL(script, page);
      expect(pathname).toBe(`${path.replace(/\/$/, '')}/live.js`);
      expect((await handler(new Request(new URL(script, page)))).status).toBe(200);
    }
  });

  it.runIf(CAN_WATCH)(
    'lists the processes that an action has ended',
    async ({ site, supervise, marker }) => {
      const supervisor = supervise();
      const spawn = (sessionId: string) =>
        supervisor.spawn({
          command: '/bin/sh',
          args: ['-c', 'setsid sleep 300 & echo up; wait'],
          sessionId,
          env: { PATH: process.env['PATH'] ?? '', [MARKER]: marker },
        });
      const agents = [spawn('one'), spawn('two')];
      await Promise.all(agents.map(({ stdout }) => stdout.take(1).toArray()));
      const { url } = await site({ token: TOKEN }, {}, supervisor);
      const act = async (action: string, target: string) => {
        const body = { target };
        const { text } = await ask(`${url}/${action}`, { method: 'POST', headers: bearer(), body });
        return JSON.parse(text);
      };
      const rows = agents.map(({ pid }) => readRow(pid ?? 0));
      expect(await act('reap', 'one')).toMatchObject({
        ended: [{ pid: agents[0]?.pid, sessionId: 'one', cause: 'reaped' }],
        survivors: [],
      });
      expect(rows.map((row) => row !== undefined && isAlive(row))).toEqual([false, true]);
      expect(await act('end', agents[1]?.id ?? '')).toMatchObject({
        ended: [{ pid: agents[1]?.pid, cause: 'terminated', sessionId: 'two' }],
        survivors: [],
      });
      await eventually(() => supervisor.list().length === 0);
    },
  );

  it.runIf(CAN_WATCH)(
    'asks first in a browser without JavaScript',
    async ({ site, supervise, marker }) => {
      const supervisor = supervise();
      const env = { PATH: process.env['PATH'] ?? '', [MARKER]: marker };
      const agent = supervisor.spawn({ command: 'sleep', args: ['300'], sessionId: 'a"<b', env });
      await agent.started;
      const one = await site({ token: TOKEN }, {}, supervisor);
      const headers = { ...HTML, cookie: await logIn(one), origin: one.origin };
      const { text } = await ask(one.url, { headers });
      expect(text).toContain('Reap session a&quot;&lt;b');
      expect(text).not.toContain('a"<b');
      const body = { form: formTokenIn(text), target: 'a"<b' };
      const asked = await ask(`${one.url}/reap`, { method: 'POST', headers, body });
      expect([asked.status, supervisor.list().length]).toEqual([200, 1]);
      expect(asked.text).toContain('End every process of session a&quot;&lt;b');
      expect(asked.text).toContain('name="confirmed" value="yes"');
      const done = await ask(`${one.url}/reap`, {
        ...{ method: 'POST', headers },
        body: { ...body, confirmed: 'yes' },
      });
      expect([done.status, done.headers['location']]).toEqual([303, './']);
      await expect(agent.exited).resolves.toMatchObject({ cause: 'reaped' });
    },
  );
});

describe.runIf(CAN_WATCH)('the button of a session with the longest allowed id', () => {
  it.for([
    ['in Latin', 'x'.repeat(1024)],
    ['in characters of three bytes', '\u6f22'.repeat(1024)],
    ['in characters of four bytes', '\u{1f600}'.repeat(512)],
    ['in lines', 'a\n'.repeat(512)],
    ['in what a form has to escape', '&"'.repeat(512)],
    ['in what looks like secrets, and is longer without them', 'token=a '.repeat(128)],
  ] as const)('works: %s', async ([, sessionId], { site, supervise, marker }) => {
    const supervisor = supervise();
    const env = { PATH: process.env['PATH'] ?? '', [MARKER]: marker };
    const agent = supervisor.spawn({ command: 'sleep', args: ['300'], sessionId, env });
    await agent.started;
    const one = await site({ token: TOKEN }, {}, supervisor);
    const headers = { ...HTML, cookie: await logIn(one), origin: one.origin };
    const { text } = await ask(one.url, { headers });
    // A browser sends the value in the page back, with its line ends changed.
    const shown = /action="[^"]*reap".*?name="target" value="([^"]*)"/s.exec(text)?.[1] ?? '';
    const target = unescaped(shown).replaceAll('\n', '\r\n');
    const body = { form: formTokenIn(text), target, confirmed: 'yes' };
    const done = await ask(`${one.url}/reap`, { method: 'POST', headers, body });
    expect([done.status, done.headers['location']]).toEqual([303, './']);
    await expect(agent.exited).resolves.toMatchObject({ cause: 'reaped' });
  });
});

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
};
const unescaped = (text: string): string =>
  text.replace(/&(\w+|#39);/g, (_, name) => ENTITIES[name] ?? '');

describe('every link of a page', () => {
  const NAMES = [
    ...['https:elsewhere.test:443', 'javascript:alert(1)', 'data:text%2Fhtml,x', 'mailto:a@b'],
    ...['a:b', '%2F%2Felsewhere', '..%2F', 'page', '@elsewhere', '%5C%5Celsewhere', '?x=y', '/'],
  ];

  it('leads to the origin of the page, whatever its address ends in', async ({ site }) => {
    const { url, origin } = await site();
    for (const name of NAMES) {
      const address = `${url}/${name}`;
      for (const headers of [HTML, { ...HTML, ...bearer() }]) {
        const { text } = await ask(address, { headers });
        const links = [...text.matchAll(/ (?:href|src|action|data-base)="([^"]*)"/g)];
        expect(links.length).toBeGreaterThan(3);
        for (const [, link = ''] of links)
          expect(new URL(link.replaceAll('&amp;', '&'), address).origin, name).toBe(origin);
      }
    }
  });

  it('would lead to another origin without the leading dot (control)', () => {
    const links = NAMES.slice(0, 5).map((name) => new URL(`${name}/login`, 'http://127.0.0.1:1/'));
    for (const { protocol, host } of links) expect(protocol + host).not.toBe('http:127.0.0.1:1');
  });
});
