import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
const folder = mkdtempSync(join(tmpdir(), 'streams-'));
const file = join(folder, 'output.log');

// Reads its whole stdin, as `codex exec` does, and writes into a file.
const script = 'process.stdin.pipe(process.stdout)';
const echo = { command: process.execPath, args: ['-e', script], kind: 'tool' };
await supervisor.spawn({ ...echo, input: 'a prompt\n', stdout: { file } }).exited;
await supervisor.spawn({ ...echo, stdin: 'ignore', stdout: { file, append: true } }).exited;
console.log(readFileSync(file, 'utf8').trim());

rmSync(folder, { recursive: true });
await supervisor.stop();
