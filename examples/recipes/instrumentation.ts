/** Next calls it once, when its server starts. */
export async function register(): Promise<void> {
  if (process.env['NEXT_RUNTIME'] !== 'nodejs') return;
  const { getSupervisor } = await import('agent-supervisor');
  getSupervisor().handleSignals({ name: 'next' }); // the name: a reload replaces it
}
