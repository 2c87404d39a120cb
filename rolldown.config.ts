import { readFileSync } from 'node:fs';
import { defineConfig } from 'rolldown';

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};

// One file instead of fifty: reading them one by one was a third of the time that our import took.
export default defineConfig({
  input: { index: 'src/index.ts' },
  external: Object.keys(dependencies),
  platform: 'node',
  transform: { target: 'node22.12' },
  output: { dir: 'dist', chunkFileNames: 'chunks/[name].js', comments: true },
});
