import { query } from '@anthropic-ai/claude-agent-sdk';
import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
supervisor.handleSignals();

const answer = query({
  prompt: 'What is in this folder?',
  options: { spawnClaudeCodeProcess: supervisor.spawnHook() },
});
for await (const message of answer) {
  if (message.type === 'result' && message.subtype === 'success') console.log(message.result);
}

const { survivors } = await supervisor.stop({ finishMs: 5_000 });
console.log('survivors:', survivors.length);
