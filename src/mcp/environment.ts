import type { Platform } from '../os/os.ts';

/** Variables that the MCP SDK lets a server inherit (2.x; on Windows its list contains that of 1.x). */
const POSIX_NAMES: readonly string[] = ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER'];
const WINDOWS_NAMES: readonly string[] = [
  ...['APPDATA', 'COMSPEC', 'HOMEDRIVE', 'HOMEPATH', 'LOCALAPPDATA', 'PATH', 'PATHEXT'],
  ...['PROCESSOR_ARCHITECTURE', 'PROGRAMDATA', 'PROGRAMFILES', 'PROGRAMFILES(X86)'],
  ...['PROGRAMW6432', 'SYSTEMDRIVE', 'SYSTEMROOT', 'TEMP', 'USERNAME', 'USERPROFILE', 'WINDIR'],
];

/** Names of the variables that a server inherits by default. */
export function safeNames(platform: Platform): readonly string[] {
  return platform === 'win32' ? WINDOWS_NAMES : POSIX_NAMES;
}

/** Picks the variables that any server may see: no secrets and no shell functions. */
export function safeEnvironment(
  hostEnv: Readonly<Record<string, string | undefined>>,
  platform: Platform,
): Record<string, string> {
  const safe: Record<string, string> = {};
  for (const name of safeNames(platform)) {
    const value = hostEnv[name];
    // A value like this is a function exported by one shell, which another shell would run.
    if (value !== undefined && !value.startsWith('()')) safe[name] = value;
  }
  return safe;
}
