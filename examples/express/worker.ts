import type { AddressInfo } from 'node:net';
import { query } from '@anthropic-ai/claude-agent-sdk';
import { getSupervisor, isSupervisorError } from 'agent-supervisor';
import { superviseQuery } from 'agent-supervisor/claude';
import { doctorHandler, toNodeListener } from 'agent-supervisor/doctor';
import express, { type ErrorRequestHandler } from 'express';

const supervisor = getSupervisor();
supervisor.on('warning', ({ code, message }) => console.warn(code, message));
const token = process.env['DOCTOR_TOKEN']; // without one, nobody gets in
const app = express();
app.use(express.json());
app.use('/api/admin/doctor', toNodeListener(doctorHandler(supervisor, { token })));

app.post('/sessions/:id', async ({ params, body }, response) => {
  const abortController = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) abortController.abort(); // whoever hangs up ends the agent
  });
  const ask = superviseQuery(query, { sessionId: params.id });
  for await (const message of ask({ prompt: body.prompt, options: { abortController } })) {
    if (message.type === 'result' && message.subtype === 'success')
      response.json({ answer: message.result });
  }
});

app.delete('/sessions/:id', async ({ params }, response) => {
  const { ended, survivors } = await supervisor.reapSession(params.id);
  response.json({ ended: ended.length, survivors: survivors.length });
});

const refuse: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.destroyed) return; // nobody waits for an answer
  if (response.headersSent || !isSupervisorError(error)) return next(error);
  response.status(503).json({ error: error.code });
};
app.use(refuse);

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  console.log(`listening on ${(server.address() as AddressInfo).port}`);
});

supervisor.handleSignals({
  finishMs: 1_000, // so long may agents go on, while nothing new begins
  hook: () => new Promise((closed) => server.close(closed)), // when the last request has its answer
});
