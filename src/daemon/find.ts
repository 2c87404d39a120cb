import { resolve } from 'node:path';
import { whyTooOld } from '../os/runtime.ts';
import { systemOs } from '../os/system.ts';
import { answers, endpointOf, holding, PROBE_MS } from '../ready/readiness.ts';
import type { Ready } from '../ready/ready.ts';
import { contentOf } from '../store/pid-file.ts';
import type { PidFile } from '../store/pid-record.ts';
import { inspectPidFile } from './inspect.ts';
import type { DaemonOptions, DaemonReport } from './options.ts';

/*
 * The fast path, which nearly every call takes: it loads only the modules that it needs. Anything unusual
 * in the options or the pid file is left to the slow path (rest.ts), which finds the reason.
 */

/** Finds the daemon if it runs in the right version and is ready; `undefined` in every other case. */
export async function findReadyDaemon(options: DaemonOptions): Promise<DaemonReport | undefined> {
  const os = systemOs();
  // On other systems, reading the process table takes longer than this path saves.
  if (os.processes.read === undefined || whyTooOld() || !isUsual(options)) return undefined;
  const { ready, version } = options;
  // A file of the predecessor's format is read by its own code first: an inspection moves it aside.
  const path = resolve(options.pidFile);
  if (options.predecessor !== undefined && contentOf(path, os) === undefined) return undefined;
  const view = await inspectPidFile(path, os);
  if (view.state !== 'alive' || view.doubt !== undefined) return undefined;
  const { pid, daemonVersion, starting } = view.file;
  if (version !== undefined && version !== daemonVersion) return undefined;
  // The long way says in the pid file that it is ready: its boot is over then.
  if (starting !== undefined) return undefined;
  if (!(await isReadyNow(ready, pid))) return undefined;
  return reportOf(view.file, false);
}

export function reportOf(
  { pid, daemonVersion: version, fields }: Pick<PidFile, 'pid' | 'daemonVersion' | 'fields'>,
  started: boolean,
): DaemonReport {
  return {
    ...{ pid, started },
    ...(version === undefined ? {} : { version }),
    ...(fields === undefined ? {} : { fields }),
  };
}

async function isReadyNow(ready: Ready, pid: number): Promise<boolean> {
  // One that was ready before has said so, and need not again.
  if ('stdout' in ready) return true;
  const os = systemOs();
  const endpoint = endpointOf(ready);
  const { promise, resolve: giveUp } = Promise.withResolvers<false>();
  const controller = new AbortController();
  const cancel = os.clock.running.after(PROBE_MS, () => giveUp(false), { keepAlive: true });
  const context = { pid, signal: controller.signal, timeoutMs: PROBE_MS };
  const [answer, holders] = await Promise.all([
    // The caller's own check may throw, or never answer.
    Promise.race([answers(ready, context, os).catch(() => false), promise]),
    endpoint && holding(endpoint, [pid], os),
  ]);
  cancel();
  controller.abort();
  return answer && (holders === undefined || !holders.isTold || holders.ours.length > 0);
}

/** A check for each option, applied if the option is given. */
const USUAL: Readonly<Record<keyof DaemonOptions, (value: unknown) => boolean>> = {
  name: (value) => isText(value) && value.length <= 256,
  command: isText,
  args: (value) =>
    Array.isArray(value) && value.every((arg) => typeof arg === 'string' && !hasNul(arg)),
  env: isUsualEnvironment,
  cwd: isText,
  pidFile: isText,
  ready: isUsualReady,
  version: (value) => isText(value) && value.length <= 256,
  logFile: (value) => value === null || isText(value),
  logMaxBytes: (value) => value === null || (Number.isSafeInteger(value) && Number(value) > 0),
  timeoutMs: isUsualDuration,
  bootMs: isUsualDuration,
  predecessor: isUsualPredecessor,
  signal: (value) => value instanceof AbortSignal && !value.aborted,
};
const REQUIRED = ['name', 'command', 'pidFile', 'ready'] as const;

/** Tells if the options need no closer look: the slow path would accept them, too. */
export function isUsual(options: DaemonOptions): boolean {
  if (typeof options !== 'object' || options === null) return false;
  const isKnown = Object.entries(options).every(
    ([name, value]) =>
      Object.hasOwn(USUAL, name) &&
      (value === undefined || USUAL[name as keyof DaemonOptions](value)),
  );
  if (!isKnown || REQUIRED.some((name) => options[name] === undefined)) return false;
  return !('stdout' in options.ready && options.logFile === null);
}

function isUsualReady(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { port, host, url, socket, check, stdout, ...rest } = value as Record<string, unknown>;
  const ways = [port, url, socket, check, stdout].filter((way) => way !== undefined);
  const fields = Object.values(value);
  if (ways.length !== 1 || Object.keys(rest).length > 0 || fields.includes(undefined)) return false;
  if (host !== undefined && !(isText(host) && port !== undefined)) return false;
  if (port !== undefined)
    return Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536;
  if (url !== undefined) return isText(url) && /^https?:$/.test(URL.parse(url)?.protocol ?? '');
  if (socket !== undefined) return isText(socket);
  return typeof check === 'function' || stdout instanceof RegExp;
}

function isUsualPredecessor(value: unknown): boolean {
  const { pid, prove, ...rest } = (value ?? {}) as Record<string, unknown>;
  const areFunctions = typeof pid === 'function' && typeof prove === 'function';
  return areFunctions && Object.keys(rest).length === 0;
}

function isUsualEnvironment(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) return false;
  return Object.entries(value).every(
    ([name, text]) =>
      text === undefined ||
      (typeof text === 'string' && name !== '' && !name.includes('=') && !hasNul(name + text)),
  );
}

function isUsualDuration(value: unknown): boolean {
  return Number.isFinite(value) && Number(value) >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !hasNul(value);
}

function hasNul(text: string): boolean {
  return text.includes('\0');
}
