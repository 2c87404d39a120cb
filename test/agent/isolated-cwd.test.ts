// Where a real agent keeps the conversations of background work: out of the user's own list.
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';
import { prepareQueries } from '../../kit/queries.ts';
import { CAN_WATCH_AGENTS, it } from '../../kit/supervised.ts';
import { isolatedCwd } from '../../src/claude/index.ts';

describe.runIf(CAN_WATCH_AGENTS)('an agent in an isolated folder', () => {
  it('lists its conversation apart from those of the folder it would have been in', async ({
    api,
    home,
    marker,
    supervise,
  }) => {
    const supervisor = supervise();
    const queries = await prepareQueries({ api, home, marker }, supervisor);
    // The agent names a list by its folder, each sign of the path that is no letter or digit a dash.
    const lists = () => readdirSync(join(home, '.claude', 'projects')).sort();
    const listOf = (path: string) => path.replaceAll(/[^a-zA-Z0-9]/g, '-');
    const hello = 'Say hello.';
    const background = isolatedCwd(supervisor);
    const ofSession = isolatedCwd(supervisor, { sessionId: '../..' });
    expect(basename(ofSession)).toMatch(/^session-/);
    await queries.ask('background', hello, { cwd: background }).result;
    await queries.ask('session', hello, { cwd: ofSession }).result;
    expect(lists()).toEqual([listOf(background), listOf(ofSession)].sort());
    // The control: without it, the conversation stands in the list of the user's folder.
    await queries.ask('foreground', hello).result;
    expect(lists()).toContain(listOf(home));
  });
});
