import type { Os } from '../os/os.ts';
import { type EnvironmentRules, isMark, isNested, sanitize } from '../process/environment.ts';
import type { EnvironmentHealth } from './report.ts';

const NEEDED = { posix: ['PATH', 'HOME'], windows: ['PATH', 'USERPROFILE', 'SYSTEMROOT'] };
const PROXY = /^(?:https?|no|all|ftp)_proxy$/i;
/** Variables that an agent can log in with: keys, tokens, cloud providers and their credentials. */
const LOGINS: readonly string[] = [
  ...['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN'],
  ...['CLAUDE_CODE_USE_BEDROCK', 'CLAUDE_CODE_USE_VERTEX', 'CLAUDE_CODE_USE_FOUNDRY'],
  ...['AWS_ACCESS_KEY_ID', 'AWS_BEARER_TOKEN_BEDROCK', 'AWS_PROFILE'],
  ...['GOOGLE_APPLICATION_CREDENTIALS', 'ANTHROPIC_FOUNDRY_API_KEY', 'OPENAI_API_KEY'],
];

/** Reports names of variables in the host's environment, never a value. */
export function environmentHealth(os: Os, rules: EnvironmentRules): EnvironmentHealth {
  const hostEnv = os.environment();
  const ignoreCase = os.platform === 'win32';
  const fold = (name: string): string => (ignoreCase ? name.toUpperCase() : name);
  const names = Object.keys(hostEnv).filter((name) => hostEnv[name]);
  const present = new Set(names.map(fold));
  return {
    nested: isNested(hostEnv, ignoreCase),
    markers: names.filter((name) => isMark(name, ignoreCase)).sort(),
    dropped: sanitize(hostEnv, { ...rules, ignoreCase }).dropped,
    missing: NEEDED[ignoreCase ? 'windows' : 'posix'].filter((name) => !present.has(name)),
    proxy: names.filter((name) => PROXY.test(name)).sort(),
    logins: LOGINS.filter((name) => present.has(name)),
  };
}
