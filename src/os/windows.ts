import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { builtin } from './builtin.ts';
import type { LaunchRequest, Processes, ProcessTable } from './os.ts';
import { parseCim } from './parse.ts';

/** How long PowerShell may take before it is killed; 100 to 300 ms are usual, a cold start takes seconds. */
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

// No double quotes, which the command line would have to escape. Where a policy forbids to set the
// encoding, only names with other than ASCII letters suffer.
const QUERY = [
  `$ErrorActionPreference = 'Stop'`,
  `try { [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { }`,
  `Get-CimInstance -Query 'SELECT ProcessId, ParentProcessId, CreationDate, Name FROM Win32_Process' | ` +
    `ForEach-Object { $created = 0; if ($_.CreationDate) { $created = $_.CreationDate.ToFileTimeUtc() }; ` +
    `'{0} {1} {2} {3}' -f $_.ProcessId, $_.ParentProcessId, $created, $_.Name }`,
].join('; ');

/**
 * The host's environment without `PSModulePath`: inherited from PowerShell 7, it makes Windows
 * PowerShell load modules it cannot run (PowerShell/PowerShell#27774).
 */
function powershellEnvironment(): NodeJS.ProcessEnv {
  const variables = Object.entries(process.env);
  return Object.fromEntries(variables.filter(([name]) => !/^PSModulePath$/i.test(name)));
}

/**
 * What a PowerShell script prints.
 *
 * @throws SupervisorError `SPAWN_FAILED`, by rejection
 */
export async function query(script: string): Promise<string> {
  const { SystemRoot = 'C:\\Windows' } = process.env;
  const program = `${SystemRoot}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`;
  // Loaded at the first look, as everything is that only some hosts need.
  const { execFile } = builtin('node:child_process');
  const { promisify } = builtin('node:util');
  const running = promisify(execFile)(
    program,
    ['-NoLogo', '-NoProfile', '-NonInteractive', '-Command', script],
    {
      env: powershellEnvironment(),
      maxBuffer: MAX_OUTPUT_BYTES,
      timeout: TIMEOUT_MS,
      windowsHide: true,
    },
  );
  // It may wait for the end of a piped input before it exits.
  running.child.stdin?.end();
  const { stdout } = await running.catch(async (cause) => {
    const { SupervisorError } = await import('../errors.ts');
    const message = `Only PowerShell tells which processes run, and it failed. Let this user run ${program}; \`cause\` has its own words.`;
    throw new SupervisorError('SPAWN_FAILED', message, { cause });
  });
  return stdout;
}

/**
 * The process table of Windows, by one CIM query through PowerShell; it shows no environment, so no cookie.
 *
 * A look rejects when the query fails, or lists everything but this process. Creation times are
 * absolute, so pid and start time tell a process from those of other boots: no boot id is needed
 * (`LastBootUpTime` moves with the clock: prometheus-community/windows_exporter#2336).
 */
export function windowsProcesses(): Processes {
  return {
    async look(): Promise<ProcessTable> {
      const table = new Map(parseCim(await query(QUERY)).map((entry) => [entry.pid, entry]));
      // Whoever is missing from a table counts as dead, so half a table is worse than none.
      if (!table.has(process.pid)) throw new Error('the CIM query did not list this process');
      return table;
    },
  };
}

/**
 * Whether there is anything that Windows could run by this name: execa hands what it cannot find to
 * cmd.exe, which starts, and fails in words and with a code of its own.
 */
export function isProgram({ command, cwd = '', env }: Omit<LaunchRequest, 'args'>): boolean {
  const variable = (name: string): string | undefined =>
    Object.entries(env).find(([key]) => key.toUpperCase() === name)?.[1] ?? process.env[name];
  const endings = ['', ...(variable('PATHEXT') || '.COM;.EXE;.BAT;.CMD').split(';')];
  const path = /[\\/:]/.test(command) ? [] : (variable('PATH') ?? '').split(';');
  const folders = ['', ...path].map((folder) => folder.replace(/^"(.*)"$/, '$1'));
  return folders.some((folder) =>
    endings.some((ending) => existsSync(resolve(cwd, folder, command + ending))),
  );
}

/** The highest pid that belongs to Windows itself (System). */
const SYSTEM_PID = 4;

/**
 * Ends a process and its descendants by force (`taskkill /T /F`, through tree-kill); on win32 only.
 *
 * The process must still be alive, or its descendants are not found. Resolves when taskkill has
 * finished, whatever came of it: the process table judges death.
 */
export async function endWindowsTree(pid: number): Promise<void> {
  if (!Number.isSafeInteger(pid) || pid <= SYSTEM_PID || pid === process.pid) return;
  // Loaded at the first end: no other system needs it.
  const { default: treeKill } = await import('tree-kill');
  return new Promise((resolve) => treeKill(pid, () => resolve()));
}
