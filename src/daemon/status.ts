import { resolve } from 'node:path';
import { systemOs } from '../os/system.ts';
import { launchesPath } from '../store/layout.ts';
import { readServiceFile } from '../store/service-file.ts';
import { inspectPidFile, publicContent } from './inspect.ts';
import type { DaemonStatus } from './options.ts';
import { checkPath } from './schema.ts';

/** Looks at a daemon by its pid file, and at its failed launches; starts and ends nothing. */
export async function daemonStatus(pidFile: string): Promise<DaemonStatus> {
  const os = systemOs();
  const path = resolve(checkPath(pidFile, 'daemonStatus'));
  const view = await inspectPidFile(path, os);
  const file = 'file' in view ? view.file : undefined;
  const { failures = 0, openForMs = 0 } = readServiceFile(launchesPath(path), os) ?? {};
  return {
    state: view.state,
    isWarming: view.state === 'alive' && file?.boot !== undefined,
    ...(file && publicContent(file)),
    ...('doubt' in view && view.doubt !== undefined ? { doubt: view.doubt } : {}),
    failedLaunches: failures,
    retryInMs: Math.ceil(openForMs),
  };
}
