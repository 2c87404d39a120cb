// Debian's headless Chromium with a home of its own; it reaches only 127.0.0.1.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { hasProgram } from './programs.ts';

const PROGRAM = '/usr/bin/chromium';

export const CAN_BROWSE = hasProgram(PROGRAM);

const ARGUMENTS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
  // Only the test's own servers resolve, one of them by a foreign name.
  '--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

export interface Browser {
  readonly context: BrowserContext;
  withoutJavaScript(): Promise<BrowserContext>;
  close(): Promise<void>;
}

export async function openBrowser(): Promise<Browser> {
  const home = await mkdtemp(join(tmpdir(), 'agent-supervisor-browser-'));
  const browser = await chromium.launch({
    executablePath: PROGRAM,
    headless: true,
    args: ARGUMENTS,
    env: { PATH: process.env['PATH'] ?? '', HOME: home, TMPDIR: home },
  });
  const viewport = { width: 1280, height: 900 };
  return {
    context: await browser.newContext({ viewport }),
    withoutJavaScript: () => browser.newContext({ viewport, javaScriptEnabled: false }),
    async close() {
      await browser.close();
      await rm(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
}

/** Collects violations of the content security policy, script errors and missing files. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}
