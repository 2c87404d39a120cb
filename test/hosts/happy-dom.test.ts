// happy-dom replaces globals that Node's own functions take; a test runner that uses it kills hosts all the same.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { findByArgument } from '../../kit/process-table.ts';
import { makeTempDir, removeTempDir } from '../../kit/real-agent.ts';
import { CAN_WATCH } from '../../kit/supervised.ts';
import { library } from '../../kit/tools.ts';

const registrator = await library('@happy-dom/global-registrator');
const HOSTS = join(import.meta.dirname, '../fixtures/hosts');
const KILLED = join(HOSTS, 'killed.ts');

describe.runIf(CAN_WATCH)('killHost under happy-dom', () => {
  it('tells that nobody is left, and leaves nobody', async () => {
    const stateDir = await makeTempDir();
    const args = [join(HOSTS, 'happy-dom.ts'), registrator, KILLED, stateDir];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
    expect(JSON.parse(stdout)).toMatchObject({ signal: 'SIGKILL', after: [], stderr: '' });
    expect(findByArgument(KILLED)).toEqual([]);
    await removeTempDir(stateDir);
  });
});
