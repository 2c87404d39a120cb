// One file instead of fifty: reading them one by one was a third of the time that our import took.
import { readFileSync } from 'node:fs';
import { rolldown } from 'rolldown';

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};

const bundle = await rolldown({
  input: { index: 'src/index.ts' },
  external: Object.keys(dependencies),
  platform: 'node',
  transform: { target: 'node22.12' },
});
await bundle.write({ dir: 'dist', chunkFileNames: 'chunks/[name].js', comments: true });
await bundle.close();
