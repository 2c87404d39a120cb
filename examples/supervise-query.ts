import { query } from '@anthropic-ai/claude-agent-sdk';
import { getSupervisor } from 'agent-supervisor';
import { superviseQuery } from 'agent-supervisor/claude';

const ask = superviseQuery(query, { budget: { perDayUsd: 5 } });

for await (const message of ask({ prompt: 'What is in this folder?' })) {
  if (message.type === 'result' && message.subtype === 'success') console.log(message.result);
} // over: the agent and all that it has started are dead

const { survivors } = await getSupervisor().stop();
console.log('survivors:', survivors.length);
