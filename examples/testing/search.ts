import { getSupervisor } from 'agent-supervisor';
import { defineService } from 'agent-supervisor/service';

/** A plugin's vector database: one process for all who ask. */
export const database = () =>
  defineService(getSupervisor(), {
    name: 'chroma',
    command: 'chroma',
    args: ['run', '--port', '8000'],
    ready: { port: 8000 },
    restart: { backoffMs: 1_000 },
  });

/** Its indexer, which is started again when it crashes. */
export const keepIndexing = () =>
  getSupervisor().run({ maxRestarts: 5, backoffMs: 1_000 }, ({ signal }) =>
    getSupervisor().spawn({ command: 'indexer', args: ['--watch'], kind: 'tool', signal }),
  );
