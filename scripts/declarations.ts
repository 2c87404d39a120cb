// Removes the declarations that no entry of the package leads to: they would show what is nobody's to use.
import { globSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  exports: Record<string, string | { types: string }>;
};

const SPECIFIER = /\b(?:from|import)\s*\(?\s*["'](\.[^"']+)["']/g;

const reached = new Set(
  Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [] : resolve(target.types),
  ),
);
// A set may grow while it is walked.
for (const path of reached)
  for (const [, specifier = ''] of readFileSync(path, 'utf8').matchAll(SPECIFIER))
    reached.add(join(dirname(path), specifier.replace(/\.[jt]s$/, '.d.ts')));

for (const path of globSync('dist/**/*.d.ts')) if (!reached.has(resolve(path))) rmSync(path);
