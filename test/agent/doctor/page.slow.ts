// The page in a real browser, with real agents that misbehave and a real server.
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { type RunAgent, realAgents, scriptedAgents } from '../../../examples/demo/agents.ts';
import { type DemoQuery, QUERIES } from '../../../examples/demo/queries.ts';
import { CAN_BROWSE, complaintsOf, openBrowser } from '../../../kit/browser.ts';
import { MOUNT, serve, TOKEN } from '../../../kit/doctor-site.ts';
import { eventually, isAlive, type ProcessRow, readRow } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH, CAN_WATCH_AGENTS } from '../../../kit/supervised.ts';
import { doctorHandler } from '../../../src/doctor/handler.ts';
import { toNodeListener } from '../../../src/doctor/node-listener.ts';
import type { Supervisor } from '../../../src/index.ts';

const CAN_SEE = CAN_WATCH && CAN_BROWSE;

const it = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it that there is nothing to wait for.
  .extend('browser', { scope: 'file' }, async ({}, { onCleanup }) => {
    const browser = await openBrowser();
    onCleanup(() => browser.close());
    return browser;
  })
  .extend('host', async ({ supervise, home, marker, api }, { onCleanup }) => {
    const supervisor = supervise({ pool: { concurrency: 4 } });
    const handler = doctorHandler(supervisor, { token: TOKEN });
    const node = { waiveTokenOnLoopback: true };
    const waived = await serve(toNodeListener(handler, node));
    const locked = await serve(toNodeListener(handler));
    onCleanup(async () => {
      await Promise.all([waived.close(), locked.close()]);
    });
    const setup = { supervisor, apiUrl: api.url, home, marker };
    return { supervisor, waived, locked, setup };
  })
  .extend('page', async ({ browser }, { onCleanup }) => {
    const page = await browser.context.newPage();
    onCleanup(() => page.close());
    return page;
  });

/** Starts one of the demo's queries, and ignores its answer. */
function start(run: RunAgent, name: string): void {
  const task = QUERIES.find((query) => query.name === name) as DemoQuery;
  run(task, new AbortController(), () => undefined).catch(() => undefined);
}

const rowOf = (page: Page, session: string) =>
  page.locator('#processes tbody tr').filter({ has: page.getByText(session, { exact: true }) });

const endRow = (page: Page, session: string, cause: string) =>
  page.locator('#ends tbody tr').filter({ hasText: session }).filter({ hasText: cause }).first();

function spawnSleep(supervisor: Supervisor, marker: string, sessionId: string) {
  const env = { PATH: process.env['PATH'] ?? '', [MARKER]: marker };
  return supervisor.spawn({ command: 'sleep', args: ['300'], env, sessionId });
}

/** Lists the live processes of a session from the process table. */
async function treeRows(supervisor: Supervisor, session: string): Promise<ProcessRow[]> {
  const all = await supervisor.inspect();
  const pids = all
    .filter(({ sessionId }) => sessionId === session)
    .flatMap(({ pid, descendants }) => [pid, ...descendants.map((one) => one.pid)]);
  return pids.flatMap((pid) => readRow(pid) ?? []);
}

/** The time at which the page first shows this word among the ends, by the browser's clock. */
async function watchEnds(page: Page, word: string): Promise<void> {
  await page.evaluate(`{
    const seen = new MutationObserver(() => {
      if (!document.querySelector('#ends').textContent.includes(${JSON.stringify(word)})) return;
      document.body.dataset.seenAt = Date.now();
      seen.disconnect();
    });
    seen.observe(document.body, { childList: true, subtree: true, characterData: true });
  }`);
}

function exitOf(supervisor: Supervisor, session: string): Promise<number> {
  return new Promise((resolve) => {
    const off = supervisor.on('exited', ({ sessionId }) => {
      if (sessionId !== session) return;
      off();
      resolve(Date.now());
    });
  });
}

const AGENTS = [
  ['scripted agents', scriptedAgents, CAN_SEE],
  ['the real agent', realAgents, CAN_SEE && CAN_WATCH_AGENTS],
] as const;

describe('the live page', { timeout: 120_000 }, () => {
  for (const [name, agents, canRun] of AGENTS) {
    it.runIf(canRun)(
      `shows the demo live, and its button ends a tree: ${name}`,
      async ({ host, page }) => {
        const { supervisor, waived, setup } = host;
        const complaints = complaintsOf(page);
        await page.goto(waived.url);
        await page.locator('#live[data-is="live"]').waitFor();
        const run = agents(setup);
        for (const query of ['stubborn-mcp', 'hangs', 'killed']) start(run, query);
        for (const query of ['hangs', 'killed']) await rowOf(page, query).waitFor();
        await rowOf(page, 'killed').locator('.tree li').first().waitFor();

        // An end is shown within a second.
        await watchEnds(page, 'hangs');
        const exited = exitOf(supervisor, 'hangs');
        process.kill(supervisor.list({ sessionId: 'hangs' })[0]?.pid ?? Number.NaN, 'SIGKILL');
        const exitedAt = await exited;
        await page.locator('body[data-seen-at]').waitFor();
        const lateMs = Number(await page.locator('body').getAttribute('data-seen-at')) - exitedAt;
        console.info(`an end was on the page ${lateMs} ms after it`);
        expect(lateMs).toBeLessThan(1000);
        await page.getByRole('status').getByText('hangs has ended: crashed, SIGKILL').waitFor();

        // The process table shows that the button has ended the tree.
        const tree = await treeRows(supervisor, 'killed');
        expect(tree.length).toBeGreaterThan(1);
        await page.getByRole('button', { name: 'Reap session killed' }).click();
        await page.getByRole('button', { name: 'Yes' }).click();
        await eventually(() => tree.every((row) => !isAlive(row)));
        await rowOf(page, 'killed').waitFor({ state: 'detached' });
        await endRow(page, 'killed', 'reaped').waitFor();
        expect(complaints).toEqual([]);
      },
    );
  }

  it.runIf(CAN_SEE)(
    'asks before an action, and can be used by keyboard',
    async ({ host, page, marker }) => {
      const { supervisor, waived } = host;
      const agent = spawnSleep(supervisor, marker, 'one');
      await agent.started;
      await page.goto(waived.url);
      const name = `End sleep (pid ${agent.pid})`;
      const button = page.getByRole('button', { name });
      await button.focus();
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').getByText(`End sleep (pid ${agent.pid}) with all`).waitFor();
      await expect(page.evaluate('document.activeElement.textContent')).resolves.toBe('Cancel');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
      // A refresh keeps the focus and open details.
      await page.locator('#fine summary').click();
      await button.focus();
      spawnSleep(supervisor, marker, 'two');
      await rowOf(page, 'two').waitFor();
      await expect(page.evaluate('document.activeElement.ariaLabel')).resolves.toBe(name);
      await expect(page.locator('#fine').getAttribute('open')).resolves.toBe('');
      expect(supervisor.list()).toHaveLength(2);
      await page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await expect(agent.exited).resolves.toMatchObject({ cause: 'terminated' });
      await page.getByRole('button', { name: 'Stop all processes' }).click();
      await page.getByRole('button', { name: 'Yes' }).click();
      await eventually(() => supervisor.state === 'stopped');
      await page.getByText('No process runs.').waitFor();
      const stop = page.getByRole('button', { name: 'Stop all processes' });
      await stop.waitFor({ state: 'detached' });
    },
  );

  it.runIf(CAN_SEE)('logs in with the token, and out again', async ({ host, page }) => {
    const { locked } = host;
    await page.goto(locked.url);
    await page.getByLabel('Token').fill('another-token-of-them');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('Wrong token.').waitFor();
    await page.getByLabel('Token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('#live[data-is="live"]').waitFor();
    expect(page.url()).toBe(`${locked.url}/`);
    await expect(page.evaluate('document.cookie'), 'for no script').resolves.toBe('');
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
  });

  it.runIf(CAN_SEE)(
    'cannot be used by a page of another site',
    async ({ host, page, marker, onTestFinished }) => {
      const { supervisor, waived, locked } = host;
      const agent = spawnSleep(supervisor, marker, 'one');
      await agent.started;
      // The reader has logged in, so the browser sends the cookie by itself.
      await page.goto(locked.url);
      await page.getByLabel('Token').fill(TOKEN);
      await page.keyboard.press('Enter');
      const form = await page.locator('input[name="form"]').first().getAttribute('value');
      const evil = await serve((_, response) => {
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end(
          [waived, locked]
            .map(
              ({ url }, at) =>
                `<form id="f${at}" method="post" action="${url}/reap"><input name="target" value="one"><input name="form" value="${form}"><input name="confirmed" value="yes"></form><iframe src="${url}"></iframe>`,
            )
            .join(''),
        );
      });
      onTestFinished(() => evil.close());
      for (const [at, { url }] of [waived, locked].entries()) {
        await page.goto(evil.origin);
        const read = await page.evaluate(async (from) => {
          const answers = [from, `${from}/report.json`].map((address) =>
            fetch(address, { credentials: 'include' }).then(
              (response) => response.text(),
              () => 'refused',
            ),
          );
          return Promise.all(answers);
        }, url);
        expect(read).toEqual(['refused', 'refused']);
        const framed = page.frames().filter((frame) => frame !== page.mainFrame());
        for (const frame of framed)
          await expect(frame.getByText('Agent supervisor').count()).resolves.toBe(0);
        const answered = page.waitForResponse(`${url}/reap`);
        await page.evaluate(`document.querySelector('#f${at}').submit()`);
        expect([401, 403]).toContain((await answered).status());
        await page.waitForURL(`${url}/reap`);
      }
      // A foreign name that resolves to this machine (DNS rebinding) is not loopback.
      await page.goto(`http://evil.test:${waived.port}${MOUNT}`);
      await page.getByLabel('Token').waitFor();
      expect(supervisor.list()).toHaveLength(1);
    },
  );

  it.runIf(CAN_SEE)(
    'works without JavaScript',
    async ({ host, browser, marker, onTestFinished }) => {
      const { supervisor, waived } = host;
      const agent = spawnSleep(supervisor, marker, 'one');
      await agent.started;
      const context = await browser.withoutJavaScript();
      onTestFinished(() => context.close());
      const page = await context.newPage();
      await page.goto(waived.url);
      await rowOf(page, 'one').getByText(String(agent.pid)).waitFor();
      await page.getByRole('button', { name: 'Reap session one' }).click();
      await page.getByRole('heading', { name: 'Reap session one' }).waitFor();
      expect(supervisor.list()).toHaveLength(1);
      await page.getByRole('button', { name: 'Reap session one' }).click();
      await page.getByText('No process runs.').waitFor();
      await endRow(page, 'one', 'reaped').waitFor();
    },
  );

  it.runIf(CAN_SEE)(
    'has a button that works for every session id',
    async ({ host, page, marker }) => {
      const { supervisor, waived } = host;
      const long = 'x'.repeat(1024);
      const names = ['one', long, 'two\nlines', 'token=a-word-that-reads-like-one'];
      for (const name of names) await spawnSleep(supervisor, marker, name).started;
      for (const width of [1280, 400]) {
        await page.setViewportSize({ width, height: 900 });
        await page.goto(waived.url);
        await rowOf(page, 'one').waitFor();
        const heights = await page.evaluate(
          'Array.from(document.querySelectorAll("td.action button"), (one) => one.offsetHeight)',
        );
        // Each label fits on one line, as beside a short session id.
        expect(new Set(heights as number[]).size).toBe(1);
        await page.getByRole('button', { name: `Reap session ${long}` }).click();
        await page.getByRole('button', { name: 'Yes' }).click({ trial: true });
        await page.keyboard.press('Escape');
      }
      for (const name of names) {
        const shown = name.replace(/\n/, ' ').replace(/=.*/, '=[redacted]');
        await page.getByRole('button', { name: `Reap session ${shown}` }).click();
        await page.getByRole('button', { name: 'Yes' }).click();
        await eventually(() => supervisor.list({ sessionId: name }).length === 0);
      }
    },
  );

  it.runIf(CAN_SEE)(
    'is accessible in every size and colour scheme',
    async ({ host, page, marker }) => {
      const { supervisor, waived, locked } = host;
      await spawnSleep(supervisor, marker, 'one').started;
      spawnSleep(
        supervisor,
        marker,
        'a session whose name is much longer than any column'.replaceAll(' ', '-'),
      );
      await spawnSleep(supervisor, marker, 'two').terminate();
      const complaints = complaintsOf(page);
      for (const [width, colorScheme] of LOOKS) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        await page.goto(waived.url);
        await rowOf(page, 'one').waitFor();
        const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        expect([width, overflow]).toEqual([width, 0]);
        expect(await seriousIssues(page)).toEqual([]);
        await page.getByRole('button', { name: 'Reap session one' }).click();
        expect(await seriousIssues(page), 'the dialog').toEqual([]);
        await page.goto(locked.url);
        expect(await seriousIssues(page), 'the login').toEqual([]);
      }
      // The browser itself logs the login's 401.
      expect(complaints.filter((text) => !text.includes('401'))).toEqual([]);
    },
  );
});

const LOOKS = [
  [1280, 'light'],
  [1280, 'dark'],
  [400, 'light'],
  [400, 'dark'],
] as const;

/** Runs axe by the browser's debugger, since the page's policy allows no other scripts. */
async function seriousIssues(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}
