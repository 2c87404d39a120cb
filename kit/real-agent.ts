// The SDK's real agent binary, in a home of its own, which can reach only the fake API.
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Options } from '@anthropic-ai/claude-agent-sdk';

const SDK = '@anthropic-ai/claude-agent-sdk';

/** Returns the agent's binary for this platform; `undefined` where the SDK ships none. */
export function agentBinary(): string | undefined {
  const fromSdk = createRequire(createRequire(import.meta.url).resolve(SDK));
  const name = process.platform === 'win32' ? 'claude.exe' : 'claude';
  for (const libc of ['', '-musl']) {
    try {
      const binary = fromSdk.resolve(`${SDK}-${process.platform}-${process.arch}${libc}/${name}`);
      if (existsSync(binary)) return binary;
    } catch {
      // Not installed: npm installs only the package of this platform.
    }
  }
  return undefined;
}

/** Returns `true` if the real agent can run here. */
export function agentAvailable(): boolean {
  return agentBinary() !== undefined;
}

/** The reason in the title of skipped tests of the real agent. */
export const AGENT_MISSING = `left out: ${SDK} has no binary for ${process.platform}-${process.arch}`;

/**
 * The agent's whole environment, without the user's settings, login or outer agent. `home` is a
 * temporary folder for its shells, settings and temporary files.
 */
export function agentEnvironment(apiUrl: string, home: string): Record<string, string> {
  return {
    ...inherited(['PATH', 'SystemRoot', 'ComSpec', 'PATHEXT', 'TEMP', 'TMP', 'LANG']),
    HOME: home,
    USERPROFILE: home,
    SHELL: '/bin/bash',
    CLAUDE_CONFIG_DIR: join(home, '.claude'),
    CLAUDE_CODE_TMPDIR: home,
    ANTHROPIC_BASE_URL: apiUrl,
    ANTHROPIC_API_KEY: 'sk-ant-fake-key-of-the-test-rig',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_TELEMETRY: '1',
    DISABLE_AUTOUPDATER: '1',
    DISABLE_ERROR_REPORTING: '1',
    // Outside a sandbox, the agent refuses bypassPermissions to root.
    ...(process.getuid?.() === 0 ? { IS_SANDBOX: '1' } : {}),
  };
}

/** The options of `query()` for an agent that asks for no permission and reads no settings. */
export function agentOptions(
  apiUrl: string,
  home: string,
  env: Readonly<Record<string, string>> = {},
) {
  return {
    cwd: home,
    env: { ...agentEnvironment(apiUrl, home), ...env },
    settingSources: [],
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
  } satisfies Options;
}

function inherited(names: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = process.env[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** Makes a new folder in the system's temporary folder. */
export function makeTempDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'agent-supervisor-'));
}

/** Removes a folder, with retries while a dying process still writes into it. */
export function removeTempDir(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}
