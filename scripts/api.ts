// The public surface of each entry, from its declarations: node scripts/api.ts [--check]
// docs/api/ENTRY.md is the reference, made from the doc comments; api/ENTRY.api.md the report: whoever
// changes what users see changes it in the same commit, and `--check` fails until then.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import { type ApiItem, reference } from './api-reference.ts';

const ROOT = join(import.meta.dirname, '..');
const REPORTS = join(ROOT, 'api');
const PAGES = join(ROOT, 'docs/api');

const COMPILER_OPTIONS = {
  target: 'es2024',
  lib: ['es2024', 'esnext.disposable'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
};

const isCheck = process.argv.includes('--check');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string }>;
};
const temporary = mkdtempSync(join(tmpdir(), 'agent-supervisor-api-'));
for (const folder of [REPORTS, PAGES]) mkdirSync(folder, { recursive: true });
try {
  const changed: string[] = [];
  for (const [subpath, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') continue;
    const name = subpath === '.' ? 'agent-supervisor' : subpath.slice(2).replaceAll('/', '-');
    const reported = extract(name, join(ROOT, target.types));
    const model = JSON.parse(readFileSync(join(temporary, `${name}.api.json`), 'utf8')) as ApiItem;
    const title = subpath === '.' ? name : `agent-supervisor/${subpath.slice(2)}`;
    const page = join(PAGES, `${name}.md`);
    if (reported) changed.push(`api/${name}.api.md`);
    if (put(page, reference(title, model))) changed.push(`docs/api/${name}.md`);
  }
  if (isCheck && changed.length > 0) {
    console.error(
      `The public surface has changed: ${changed.join(', ')}. Look at it with "npm run api", and commit it.`,
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/** Writes report and model of one entry; says whether the report is another one than before. */
function extract(name: string, types: string): boolean {
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: types,
      compiler: { overrideTsconfig: { compilerOptions: COMPILER_OPTIONS, include: [types] } },
      apiReport: {
        enabled: true,
        reportFolder: REPORTS,
        reportTempFolder: temporary,
        reportFileName: `${name}.api.md`,
      },
      docModel: { enabled: true, apiJsonFilePath: join(temporary, `${name}.api.json`) },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: {
        compilerMessageReporting: { default: { logLevel: 'none' } },
        extractorMessageReporting: { default: { logLevel: 'none' } },
        tsdocMessageReporting: { default: { logLevel: 'none' } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(ROOT, 'package.json'),
  } as Parameters<typeof ExtractorConfig.prepare>[0]);
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: !isCheck,
    messageCallback: (message) => {
      message.handled = true;
    },
  });
  return apiReportChanged;
}

/** Writes a page unless it is only to be checked; says whether it is another one than before. */
function put(path: string, text: string): boolean {
  let before = '';
  try {
    before = readFileSync(path, 'utf8');
  } catch {
    // It is the first time.
  }
  if (!isCheck) writeFileSync(path, text);
  return before !== text;
}
