// A fresh process that imports a launcher and starts one process; prints how many ms it took to be there.
//   first-launch.ts ours <main entry> <state dir>
//   first-launch.ts theirs <module> …      the last one is execa
const [who, ...modules] = process.argv.slice(2);
const beganMs = performance.now();
if (who === 'ours') {
  const [entry = '', stateDir = ''] = modules;
  const { createSupervisor } = (await import(entry)) as typeof import('../../src/index.ts');
  const supervisor = createSupervisor({ stateDir });
  const child = supervisor.spawn({ command: 'true' });
  await child.started;
  console.log(performance.now() - beganMs);
  await child.exited;
  await supervisor.stop();
} else {
  const loaded = await Promise.all(modules.map((module) => import(module)));
  const { execa } = loaded.at(-1) as typeof import('execa');
  const child = execa('true', { buffer: false, cleanup: false });
  console.log(performance.now() - beganMs);
  await child;
}
