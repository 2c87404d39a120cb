import { getSupervisor } from 'agent-supervisor';

const supervisor = getSupervisor();
supervisor.on('ending', ({ kind, cause, reason }) => console.log(kind, cause, reason));

const wait = ['-e', 'setInterval(() => {}, 1000)'];
for (const kind of ['agent', 'watcher']) {
  const started = supervisor.spawn({
    command: process.execPath,
    args: wait,
    sessionId: 'nightly',
    kind,
  });
  await started.started;
}
for (const { kind, state, descendants } of await supervisor.inspect()) {
  console.log(kind, state, descendants.length);
}

const { ended, survivors } = await supervisor.reapSession('nightly', { reason: 'it is morning' });
console.log(ended.length, 'ended', survivors.length, 'survived');
