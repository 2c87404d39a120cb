import type { Platform } from '../os/os.ts';

/** What the MCP SDK lets a server inherit: of 2.x on Windows, whose list holds that of 1.x. */
const POSIX_NAMES: readonly string[] = ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER'];
const WINDOWS_NAMES: readonly string[] = [
  ...['APPDATA', 'COMSPEC', 'HOMEDRIVE', 'HOMEPATH', 'LOCALAPPDATA', 'PATH', 'PATHEXT'],
  ...['PROCESSOR_ARCHITECTURE', 'PROGRAMDATA', 'PROGRAMFILES', 'PROGRAMFILES(X86)'],
  ...['PROGRAMW6432', 'SYSTEMDRIVE', 'SYSTEMROOT', 'TEMP', 'USERNAME', 'USERPROFILE', 'WINDIR'],
];

/** The names of the variables that a server inherits unasked. */
export function safeNames(platform: Platform): readonly string[] {
  return platform === 'win32' ? WINDOWS_NAMES : POSIX_NAMES;
}

/** Takes from the host's environment what any server may see; no secret is among it, and no shell function. */
export function safeEnvironment(
  hostEnv: Readonly<Record<string, string | undefined>>,
  platform: Platform,
): Record<string, string> {
  const safe: Record<string, string> = {};
  for (const name of safeNames(platform)) {
    const value = hostEnv[name];
    // What begins like this is a function that a shell has exported, and another one would run.
    if (value !== undefined && !value.startsWith('()')) safe[name] = value;
  }
  return safe;
}
