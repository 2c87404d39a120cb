// Secrets are planted in every place of a host; the doctor shows none of them.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { bearer, HTML, TOKEN } from '../../../kit/doctor-site.ts';
import { sampleProcess, sampleReport } from '../../../kit/sample-report.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';
import { doctorHandler } from '../../../src/doctor/handler.ts';
import { reportPage } from '../../../src/doctor/page.ts';
import { EVENT_NAMES, publicEvent, textWithoutFolders } from '../../../src/doctor/public-event.ts';
import type { SupervisorEvents } from '../../../src/events.ts';
import { type Supervisor, SupervisorError } from '../../../src/index.ts';

const secret = fc.stringMatching(/^[A-Za-z0-9]{16,32}$/);
const secrets = fc.uniqueArray(secret, { minLength: 8, maxLength: 8 });

describe('an event', () => {
  const error = (text: string) =>
    new SupervisorError('SPAWN_FAILED', text, { cause: new Error(text), data: { text } });
  const subject = { id: 'a-1', kind: 'agent', sessionId: 'one' };
  const name = { pid: 7, command: 'node' };
  const end = (text: string) => ({
    ...{ ...subject, pid: 7, code: 1, signal: null, cause: 'failed' as const, durationMs: 5 },
    ...{
      pausedMs: 0,
      intentional: false,
      forced: false,
      stderrTail: text,
      leftovers: [name],
      error: error(text),
    },
  });

  /** Every event, with a secret in each place that can hold one. */
  const planted = (text: string, sentence: string): SupervisorEvents => ({
    requested: subject,
    queued: {
      ...{ ...subject, waiting: 1, reason: sentence },
      waitsFor: { cause: 'key', name: sentence },
    },
    waiting: {
      ...{ ...subject, waitedMs: 1, holders: ['a-2'], ofSession: [], reason: sentence },
      waitsFor: { cause: 'key', name: sentence },
    },
    started: { ...subject, pid: 7 },
    adopted: { ...subject, pid: 7 },
    refused: { ...subject, error: error(text) },
    ending: { ...subject, pid: 7, cause: 'terminated', reason: sentence },
    leftovers: { ...subject, processes: [name], action: 'terminate', advice: text },
    survivors: { ...subject, survivors: [{ ...name, id: 'a-1', sessionId: 'one' }] },
    exited: end(text),
    'session-expired': { sessionId: 'one', createdAt: 1, ageMs: 2, maxWallClockMs: 1, live: 1 },
    restarting: { ...{ sessionId: 'one', name: 'run', attempt: 2, delayMs: 1 }, after: end(text) },
    service: { name: 'index', from: 'ready', state: 'idle', pid: 7, reason: text },
    swept: {
      ...{ recovered: [text], forgotten: 0, removed: [text], durationMs: 1, survivors: [] },
      ended: [end(text)],
      orphans: [{ ...name, id: 'a-3', reason: text }],
      kept: [{ ...name, id: 'a-4', kind: 'agent', sessionId: 'one', cwd: text, startedAt: 1 }],
      unproven: [{ pid: 9, reason: text }],
    },
    warning: { code: 'TEST', message: sentence, cause: error(text) },
    'pool-paused': { reason: sentence, until: 1 },
    'pool-resumed': { reason: sentence, pausedMs: 1 },
    stopping: { reason: sentence },
    stopped: { durationMs: 1 },
  });

  const inSentence = (folder: string, key: string, value: string) =>
    fc.constantFrom(
      `cannot write /srv/${folder}/journal: no space`,
      `"/srv/${folder}/a b" is not there; /srv/${folder}`,
      `~/${folder} x`,
      `../${folder}/x`,
      `C:\\Users\\${folder}\\x`,
      `file:///srv/${folder}`,
      `/known/place with blanks/${folder} is full`,
      `token=${key}`,
      `Authorization: Bearer ${key}`,
      `the value is ${value}`,
    );

  it('holds no output, no error, no folder and no value of the environment', () => {
    const arbitrary = secrets.chain((all) => {
      const [text = '', folder = '', key = '', value = ''] = all;
      return inSentence(folder, key, value).map((sentence) => ({ all, text, sentence, value }));
    });
    fc.assert(
      fc.property(arbitrary, ({ all, text, sentence, value }) => {
        const confidential = { secrets: [value], folders: () => ['/known/place with blanks'] };
        const events = planted(text, sentence);
        expect(JSON.stringify(events), 'it is there to be shown').toContain(text);
        for (const event of EVENT_NAMES) {
          const shown = JSON.stringify(publicEvent(event, events[event], confidential));
          for (const one of all) expect(shown).not.toContain(one);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps text that holds no path and no secret', () => {
    const confidential = { secrets: [], folders: () => ['/srv/state', '/'] };
    const shown = (text: string) => textWithoutFolders(text, confidential);
    expect(shown('asked for by the operator (3 of 4 and/or more)')).toBe(
      'asked for by the operator (3 of 4 and/or more)',
    );
    expect(shown('/srv/state/a.jsonl cannot be read; it goes on in memory')).toBe(
      '[folder] cannot be read; it goes on in memory',
    );
    expect(shown('cannot write /elsewhere/x: no space')).toBe('cannot write [folder]');
  });
});

describe('the page', () => {
  it('escapes HTML in every name', () => {
    const evil = `"'><script>alert(1)</script>&amp;<!--`;
    fc.assert(
      fc.property(fc.constantFrom(evil, `${evil}\n`, 'javascript:alert(1)', '</title>'), (name) => {
        const process = sampleProcess({ command: name, kind: name, sessionId: name, id: name });
        const report = sampleReport();
        const [session] = report.sessions;
        const page = reportPage(
          {
            ...report,
            host: { ...report.host, machine: name },
            processes: [process],
            sessions: session === undefined ? [] : [{ ...session, id: name }],
            checks: [{ id: name, status: 'fail', summary: name, advice: name }],
          },
          { base: './', formToken: 'form', canLogOut: true },
        );
        expect(page.match(/<script/g)).toHaveLength(1);
        expect(page).not.toContain('<script>');
        expect(page).not.toContain('<!--');
        expect(page.match(/<\/title>/g)).toHaveLength(1);
      }),
    );
  });
});

/** Goes through everything that the doctor shows, with secrets planted, and returns the output. */
async function liveThrough(
  supervisor: Supervisor,
  { home, marker, planted }: { home: string; marker: string; planted: readonly string[] },
): Promise<string> {
  const [folder = '', argument = '', value = '', plain = '', word = '', spoken = ''] = planted;
  const cwd = join(home, `folder ${folder} x`);
  await mkdir(cwd);
  const tool = join(cwd, 'tool.sh');
  await writeFile(tool, '#!/bin/sh\necho "$2 $API_TOKEN" >&2\nsleep 300 &\nsleep 300 "$1"\n');
  await chmod(tool, 0o700);
  const handler = doctorHandler(supervisor, { token: TOKEN });
  const headers = { ...bearer(), ...HTML };
  const get = (path: string) => handler(new Request(`http://localhost/d${path}`, { headers }));
  const stream = (await get('/events')).text();
  const shown: string[] = [];
  const look = async () => {
    for (const path of ['', '/report.json', '/metrics']) shown.push(await (await get(path)).text());
  };

  const { PATH = '' } = process.env;
  const env = { PATH, API_TOKEN: value, PLAIN: plain, [MARKER]: marker };
  const spawn = (command: string, args: string[], more = {}) =>
    supervisor.spawn({ command, args, cwd, env, sessionId: 'one', slot: false, ...more });
  const agent = spawn(tool, [argument, word], { slot: true });
  await agent.started;
  const failed = await spawn('sh', ['-c', `echo ${spoken} >&2; exit 3`]).exited;
  expect(failed.stderrTail, 'it is there to be shown').toContain(spoken);
  const refused = await spawn(join(cwd, 'no-such-program'), [argument]).exited;
  expect(refused.error?.message, 'it is there to be shown').toContain(folder);
  await spawn('sh', [], { cwd: join(cwd, 'nowhere') }).exited;
  spawn('sleep', ['300'], { slot: true });
  await look();
  const message = `cannot write ${join(cwd, 'x')}: ENOSPC`;
  supervisor.internals.warn('TEST', message, new Error(word));
  await agent.terminate({ reason: `it works in ${cwd}, with API_TOKEN=${value}` });
  await supervisor.stop({ reason: `enough of ${cwd}` });
  await look();
  return [...shown, await stream].join('\n');
}

describe('a real host', () => {
  it.runIf(CAN_WATCH)(
    'shows none of its secrets, on no page, in no event, in no metric',
    async ({ supervise, home, marker }) => {
      await fc.assert(
        fc.asyncProperty(secrets, async (planted) => {
          const stateDir = join(home, crypto.randomUUID());
          const supervisor = supervise({ stateDir, pool: { concurrency: 1 } });
          const shown = await liveThrough(supervisor, { home, marker, planted });
          for (const part of ['tool.sh', 'event: stopped', 'event: refused', '# HELP']) {
            expect(shown).toContain(part);
          }
          for (const one of [...planted, TOKEN]) expect(shown).not.toContain(one);
        }),
        { numRuns: 3, endOnFailure: true },
      );
    },
  );
});
