// Node's own modules without an import: for an ES module's names of `node:fs`, Node reads its getters,
// which load streams and more.
import { isBuiltin } from 'node:module';
import { resolve } from 'node:path';
import type { Plugin } from 'rolldown';

const ESM = '\0builtin:';
const LOADER = resolve('src/os/builtin.ts');
const NAME = /^(?!default$)[a-z_$][\w$]*$/i;

/** Leads the imports of Node's own modules to `builtin()`; what nobody uses of them is left out. */
export const builtins: Plugin = {
  name: 'builtins',
  resolveId: {
    order: 'pre',
    handler(source, importer = '', { kind }) {
      // The loader's own is for old versions of Bun; a CommonJS module's becomes an import of its own.
      if (!isBuiltin(source) || importer === LOADER || kind === 'require-call') return null;
      return ESM + source;
    },
  },
  load(id) {
    if (!id.startsWith(ESM)) return null;
    const name = id.slice(ESM.length);
    const names = Object.keys(process.getBuiltinModule(name) ?? {}).filter((key) => NAME.test(key));
    return [
      `import { builtin } from ${JSON.stringify(LOADER)};`,
      `const $it = /* @__PURE__ */ builtin(${JSON.stringify(name)});`,
      'const $read = (key) => $it[key];',
      'export default $it;',
      ...names.map((key) => `export const ${key} = /* @__PURE__ */ $read('${key}');`),
    ].join('\n');
  },
};
