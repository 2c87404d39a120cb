import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
const tool = supervisor.spawn({
  command: process.execPath,
  args: ['-e', 'console.log("hello"); console.error("a word on stderr"); process.exit(3)'],
  kind: 'tool', // only the kind 'agent', the default, needs a slot
});
tool.stdout.on('data', (chunk) => process.stdout.write(chunk));

const { cause, code, stderrTail, leftovers } = await tool.exited; // never rejects
console.log({ cause, code, stderrTail, leftovers });
