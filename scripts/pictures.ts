// Takes the pictures of the documentation: node scripts/pictures.ts
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { QUERIES } from '../examples/demo/queries.ts';
import { openBrowser } from '../kit/browser.ts';
import { endByMarker } from '../kit/process-table.ts';
import { makeTempDir, removeTempDir } from '../kit/real-agent.ts';
import { doctorHandler } from '../src/doctor/handler.ts';
import { toNodeListener } from '../src/doctor/node-listener.ts';
import { createSupervisor } from '../src/index.ts';
import { defineService } from '../src/service/index.ts';

const PICTURES = join(import.meta.dirname, '../docs/pictures');
const SCRIPT = join(import.meta.dirname, '../examples/demo/scripted-agent.mjs');
const MARKER = 'AGENT_SUPERVISOR_PICTURES';

await mkdir(PICTURES, { recursive: true });
await takePage();

/** The doctor's page over agents that misbehave: some have ended, some run, some wait. */
async function takePage(): Promise<void> {
  const home = await makeTempDir();
  const marker = randomUUID();
  const { PATH = '' } = process.env;
  const supervisor = createSupervisor({
    stateDir: join(home, 'state'),
    pool: { concurrency: 3 },
    ladder: { stdinEofMs: 200, termMs: 500 },
  });
  const agent = (mode: string) =>
    supervisor.spawn({
      command: process.execPath,
      args: [SCRIPT, mode],
      cwd: home,
      env: { PATH, [MARKER]: marker },
      sessionId: mode,
    });
  const handler = doctorHandler(supervisor);
  const server = createServer(toNodeListener(handler, { waiveTokenOnLoopback: true }));
  const browser = await openBrowser();
  try {
    const index = defineService(supervisor, {
      name: 'search-index',
      command: process.execPath,
      args: ['-e', 'setInterval(() => {}, 1000); console.log("listening")'],
      env: { PATH, [MARKER]: marker },
      ready: { stdout: /^listening/ },
    });
    await index.ensure();
    await Promise.all([
      agent('plain').exited,
      agent('stubborn-mcp').exited,
      agent('setsid').exited,
    ]);
    const killed = agent('killed');
    await killed.started;
    process.kill(killed.pid ?? Number.NaN, 'SIGKILL');
    await killed.exited;
    supervisor.charge('stubborn-mcp', { usd: 0.42, tokens: 18_230 });
    for (const { name } of QUERIES) if (name !== 'plain') agent(name === 'killed' ? 'hangs' : name);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const page = await browser.context.newPage();
    for (const [name, width, colorScheme] of [
      ['doctor-light', 1200, 'light'],
      ['doctor-dark', 1200, 'dark'],
      ['doctor-narrow', 400, 'light'],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 1500 });
      await page.goto(`http://127.0.0.1:${port}/api/admin/doctor`);
      await page.locator('#live[data-is="live"]').waitFor();
      await page.screenshot({
        path: join(PICTURES, `${name}.png`),
        clip: { x: 0, y: 0, width, height: width > 400 ? 1100 : 1500 },
      });
    }
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
    await supervisor.stop();
    await endByMarker(MARKER, marker);
    await removeTempDir(home);
  }
}
