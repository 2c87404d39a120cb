import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { builtin } from './builtin.ts';
import type { LaunchRequest, Processes, ProcessTable } from './os.ts';
import { parseCim } from './parse.ts';

/** Time after which PowerShell is killed; it usually takes 100 to 300 ms, a cold start seconds. */
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

// No double quotes, which the command line would have to escape. Where a policy forbids to set the
// encoding, only names with non-ASCII letters suffer.
const QUERY = [
  `$ErrorActionPreference = 'Stop'`,
  `try { [Console]::OutputEncoding = New-Object Text.UTF8Encoding $false } catch { }`,
  `Get-CimInstance -Query 'SELECT ProcessId, ParentProcessId, CreationDate, Name FROM Win32_Process' | ` +
    `ForEach-Object { $created = 0; if ($_.CreationDate) { $created = $_.CreationDate.ToFileTimeUtc() }; ` +
    `'{0} {1} {2} {3}' -f $_.ProcessId, $_.ParentProcessId, $created, $_.Name }`,
].join('; ');

/**
 * The host's environment without `PSModulePath`. Inherited from PowerShell 7, it makes Windows
 * PowerShell load modules it cannot run (PowerShell/PowerShell#27774).
 */
function powershellEnvironment(): NodeJS.ProcessEnv {
  const variables = Object.entries(process.env);
  return Object.fromEntries(variables.filter(([name]) => !/^PSModulePath$/i.test(name)));
}

/**
 * Runs a PowerShell script and returns its stdout.
 *
 * @throws SupervisorError `SPAWN_FAILED`, by rejection
 */
export async function query(script: string): Promise<string> {
  const { SystemRoot = 'C:\\Windows' } = process.env;
  const program = `${SystemRoot}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`;
  // Loaded at first use: only some hosts need it.
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
  // PowerShell may wait for the end of a piped stdin before it exits.
  running.child.stdin?.end();
  const { stdout } = await running.catch(async (cause) => {
    const { SupervisorError } = await import('../errors.ts');
    const message = `Only PowerShell tells which processes run, and it failed. Let this user run ${program}; \`cause\` has its own words.`;
    throw new SupervisorError('SPAWN_FAILED', message, { cause });
  });
  return stdout;
}

/**
 * The process table of Windows, from one CIM query through PowerShell; without environments, so
 * without cookies.
 *
 * A snapshot rejects when the query fails, or lists everything but this process. Creation times are
 * absolute, so pid and start time tell a process from those of other boots. No boot id is needed
 * (`LastBootUpTime` moves with the clock: prometheus-community/windows_exporter#2336).
 */
export function windowsProcesses(): Processes {
  return {
    async snapshot(): Promise<ProcessTable> {
      const table = new Map(parseCim(await query(QUERY)).map((entry) => [entry.pid, entry]));
      // A process that is missing from the table counts as dead, so an incomplete table is worse
      // than none.
      if (!table.has(process.pid)) throw new Error('the CIM query did not list this process');
      return table;
    },
  };
}

/**
 * True if Windows can find a program of this name. Given a missing one, execa starts cmd.exe, which
 * fails with its own message and exit code.
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
 * Kills a process and its descendants (`taskkill /T /F`, through tree-kill); on win32 only.
 *
 * The process must still be alive, or its descendants are not found. Resolves when taskkill has
 * finished, whatever its result: the process table is the judge of death.
 */
export async function endWindowsTree(pid: number): Promise<void> {
  if (!Number.isSafeInteger(pid) || pid <= SYSTEM_PID || pid === process.pid) return;
  // Loaded at first use: no other system needs it.
  const { default: treeKill } = await import('tree-kill');
  return new Promise((resolve) => treeKill(pid, () => resolve()));
}
