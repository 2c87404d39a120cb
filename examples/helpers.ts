import { classifyExit, isProcessAlive, normalizeSpawnArgs, sanitizeEnv } from 'agent-supervisor';

console.log(normalizeSpawnArgs(['--tools', '', '--verbose', '-p', '']));

const inherited = { PATH: '/usr/bin', CLAUDECODE: '1', CLAUDE_CODE_SESSION_ID: '…' };
console.log(sanitizeEnv(inherited));

console.log(classifyExit(143, null)); // how claude exits after SIGTERM
console.log(isProcessAlive(process.pid), isProcessAlive(0));
