import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
supervisor.on('exited', ({ cause, forced }) => console.log(forced ? 'forced' : 'polite', cause));

export default {
  plugins: [
    {
      name: 'agents',
      apply: 'serve',
      async configureServer(server) {
        await supervisor.start(); // also after a restart of the server
        const wait = ['-e', 'setInterval(() => {}, 1000)'];
        server.middlewares.use('/agent', async (_request, response) => {
          const agent = supervisor.spawn({ command: process.execPath, args: wait });
          await agent.started;
          response.end(`started ${agent.pid}`);
        });
      },
      closeBundle: () => supervisor.stop(), // Vite waits for it when it closes
    },
  ],
};
