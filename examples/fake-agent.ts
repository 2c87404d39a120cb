import { query } from '@anthropic-ai/claude-agent-sdk';
import { askPermission, fakeAgent, result, say } from 'agent-supervisor/testing';

const agent = fakeAgent(function* ({ prompts }) {
  yield say(`You have asked: ${prompts[0]}`);
  const answer = yield askPermission('Bash', { command: 'rm -r build' });
  yield say(answer?.behavior === 'allow' ? 'It is gone.' : 'Then not.');
  yield result({ costUsd: 0.02 });
});

const answer = query({
  prompt: 'Clean up, please.',
  options: {
    spawnClaudeCodeProcess: agent, // no process, no key, no network
    canUseTool: async () => ({ behavior: 'deny', message: 'Not in a test.' }),
  },
});
for await (const message of answer) {
  if (message.type === 'assistant') console.log(message.message.content[0]);
  if (message.type === 'result') console.log(message.subtype, message.total_cost_usd);
}
console.log(agent.calls[0]?.permissions[0]?.behavior);
