import { query } from '@anthropic-ai/claude-agent-sdk';
import { getSupervisor } from 'agent-supervisor';

/** A plugin as there are many: it asks an agent, and says yes to nothing but reading. */
export async function summarize(file: string): Promise<string> {
  const answer = query({
    prompt: `Summarize ${file}.`,
    options: {
      spawnClaudeCodeProcess: getSupervisor().spawnHook({ sessionId: file }),
      canUseTool: async (tool, updatedInput) =>
        tool === 'Read'
          ? { behavior: 'allow', updatedInput }
          : { behavior: 'deny', message: 'Only reading is allowed.' },
    },
  });
  for await (const message of answer) {
    if (message.type === 'result' && message.subtype === 'success') return message.result;
  }
  throw new Error('no answer');
}
