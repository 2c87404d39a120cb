// The two that most hosts are bundled or run by; the others are in test/hosts.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  expectWholeLife,
  hostProject,
  survivorsWithoutGuardian,
} from '../../../kit/bundled-host.ts';
import { TOOLS, tool } from '../../../kit/tools.ts';

const onLinux = describe.runIf(process.platform === 'linux');
const tsx = await tool('tsx');
const project = await hostProject();

afterAll(() => project.remove());

onLinux('a host that esbuild has made one file of, where no node_modules is', () => {
  it.each(['esbuild-cjs', 'esbuild-esm'])('%s', async (format) => {
    const { folder, file } = await project.bundle(format, TOOLS);
    await expectWholeLife([process.execPath, file], folder);
  });

  it('would leave its processes without a guardian (control)', async () => {
    const { folder, file } = await project.bundle('esbuild-cjs', TOOLS);
    expect(await survivorsWithoutGuardian([process.execPath, file], folder)).toBeGreaterThan(0);
  });
});

onLinux('a host in TypeScript that tsx runs', () => {
  it('lives and dies as any other', async () => {
    await writeFile(
      join(project.folder, 'host.ts'),
      `import { once, stay } from './life.js';
const [what]: string[] = process.argv.slice(-1);
if (what === 'stay') stay().then((pid: number) => console.log(\`ready \${pid}\`));
else once().then((report: object) => console.log(JSON.stringify(report)));
`,
    );
    await expectWholeLife([process.execPath, tsx, 'host.ts'], project.folder);
  });
});
