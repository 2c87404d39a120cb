// The same handler in each framework, mounted as docs/doctor-page.md shows.
import type { RequestListener } from 'node:http';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { describe, expect } from 'vitest';
import {
  ask,
  bearer,
  eventsOf,
  formTokenIn,
  HTML,
  MOUNT,
  serve,
  TOKEN,
} from '../../../kit/doctor-site.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';
import { type DoctorHandler, doctorHandler } from '../../../src/doctor/handler.ts';
import { toNodeListener } from '../../../src/doctor/node-listener.ts';

type Mount = (handler: DoctorHandler) => RequestListener | Promise<RequestListener>;

const MOUNTS: Readonly<Record<string, Mount>> = {
  'node:http': (handler) => toNodeListener(handler, { waiveTokenOnLoopback: true }),
  'Express, under a prefix': (handler) => {
    const app = express();
    app.use(MOUNT, toNodeListener(handler, { waiveTokenOnLoopback: true }));
    return app;
  },
  'Express, with parsers before it, in a router': (handler) => {
    const app = express();
    app.use(express.urlencoded(), express.json());
    const router = express.Router();
    router.use('/doctor', toNodeListener(handler, { waiveTokenOnLoopback: true }));
    app.use('/api/admin', router);
    return app;
  },
  Fastify: async (handler) => {
    const listener = toNodeListener(handler, { waiveTokenOnLoopback: true });
    const app = fastify();
    await app.register(
      async (scope) => {
        scope.removeAllContentTypeParsers();
        scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
        for (const path of ['/', '/*']) {
          scope.all(path, (request, reply) => {
            reply.hijack();
            listener(request.raw, reply.raw);
          });
        }
      },
      { prefix: MOUNT },
    );
    await app.ready();
    return (request, response) => app.routing(request, response);
  },
  Hono: (handler) => {
    const app = new Hono();
    app.all(`${MOUNT}/*`, (context) => handler(context.req.raw));
    return toNodeListener((request) => app.fetch(request), { waiveTokenOnLoopback: true });
  },
};

describe.each(Object.keys(MOUNTS))('%s', (name) => {
  const mount = MOUNTS[name] as Mount;

  it.runIf(CAN_WATCH)('serves every route', async ({ supervise, marker, onTestFinished }) => {
    const supervisor = supervise();
    const site = await serve(await mount(doctorHandler(supervisor, { token: TOKEN })));
    onTestFinished(() => site.close());
    const { url, origin } = site;
    const env = { PATH: process.env['PATH'] ?? '', [MARKER]: marker };
    const agent = supervisor.spawn({ command: 'sleep', args: ['300'], sessionId: 'one', env });
    await agent.started;

    const through = { 'x-forwarded-for': '10.0.0.1' };
    expect((await ask(url, { headers: through })).status, 'no token').toBe(401);
    expect((await ask(url, { headers: { ...through, ...bearer() } })).status).toBe(200);
    expect((await ask(`${url}/report.json`)).text, 'waived').toContain(`"pid":${agent.pid}`);
    expect((await ask(`${url}/metrics`)).text).toMatch(/^agent_supervisor_live_processes 1$/m);
    const page = await ask(url, { headers: HTML });
    expect(page.text).toContain('<script src="./doctor/live.js"');
    expect((await ask(`${url}/`, { headers: HTML })).text).toContain('<script src="./live.js"');
    expect((await ask(`${url}/live.js`)).text).toContain('EventSource');

    const login = await ask(`${url}/login`, {
      ...{ method: 'POST', headers: { ...HTML, origin } },
      body: { token: TOKEN },
    });
    expect([login.status, login.headers['location']]).toEqual([303, './']);
    expect(String(login.headers['set-cookie'])).toContain(`Path=${MOUNT};`);

    const leave = new AbortController();
    const stream = await fetch(`${url}/events`, { signal: leave.signal });
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    const events = eventsOf(stream.body);
    expect((await events.next()).value).toMatchObject({ event: 'hello' });
    const body = { target: 'one', form: formTokenIn(page.text) };
    const reaped = ask(`${url}/reap`, { method: 'POST', headers: { origin }, body });
    expect((await events.next()).value).toMatchObject({
      ...{ id: expect.any(String), event: 'ending' },
      data: { sessionId: 'one', cause: 'reaped' },
    });
    expect((await events.next()).value).toMatchObject({
      event: 'exited',
      data: { pid: agent.pid },
    });
    expect(JSON.parse((await reaped).text)).toMatchObject({ ended: [{ cause: 'reaped' }] });
    const json = await ask(`${url}/stop`, {
      ...{ method: 'POST', headers: { ...bearer(), 'content-type': 'application/json' } },
      body: '{}',
    });
    expect([json.status, JSON.parse(json.text).survivors]).toEqual([200, []]);
    leave.abort();
  });
});
