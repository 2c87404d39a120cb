import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
const wait = ['-e', 'setInterval(() => {}, 1000)'];

export default {
  plugins: [
    {
      name: 'agents',
      apply: 'serve',
      configureServer({ middlewares }) {
        middlewares.use('/agent', async (_request, response) => {
          await supervisor.start(); // a restart of the server has stopped it
          const agent = supervisor.spawn({ command: process.execPath, args: wait });
          await agent.started;
          response.end(`started ${agent.pid}`);
        });
      },
      async closeBundle() {
        const { ended } = await supervisor.stop(); // Vite waits for it when it closes
        console.log(`ended ${ended.map(({ cause, forced }) => (forced ? 'forced' : cause))}`);
      },
    },
  ],
};
