import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs npm in `cwd` as from a plain shell, without the variables of an npm that runs the tests. */
export async function npm(args: readonly string[], cwd: string): Promise<Output> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || isConfiguration(name)),
  );
  const options = { cwd, env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 } as const;
  // On Windows npm is a .cmd shim, which needs a shell.
  const done =
    process.platform === 'win32'
      ? run(['npm', ...args].map((arg) => `"${arg}"`).join(' '), { ...options, shell: true })
      : run('npm', [...args], options);
  return done.catch((error: Error & Partial<Output>) => {
    throw new Error(
      `npm ${args.join(' ')}:\n${error.stderr ?? error.message}${error.stdout ?? ''}`,
    );
  });
}

/**
 * Keeps the machine's own settings (registry, cache, certificates), but not `npm_config_local_prefix`
 * and the like.
 */
function isConfiguration(name: string): boolean {
  return /^npm_config_(?:registry|cache|cafile|userconfig|globalconfig|proxy|https_proxy|noproxy)$/i.test(
    name,
  );
}
