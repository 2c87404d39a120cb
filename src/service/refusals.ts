import { SupervisorError } from '../index.ts';

export function closed(name: string): SupervisorError {
  const message = `Service "${name}" is closed; nothing was started. Define it again to use it.`;
  return new SupervisorError('STOPPING', message, { data: { name } });
}

export function stopping(name: string): SupervisorError {
  const message = `The supervisor is stopping; service "${name}" was not started.`;
  return new SupervisorError('STOPPING', message, { data: { name } });
}

export function notAlone(name: string, pid: number | undefined): SupervisorError {
  return new SupervisorError(
    'ALREADY_RUNNING',
    `Service "${name}" was not started: its last process (pid ${pid}) or what that has started is still alive. The event "survivors" names them.`,
    { data: { name, pid } },
  );
}

export function circuitOpen(
  name: string,
  retryInMs: number,
  cause: SupervisorError | undefined,
): SupervisorError {
  const last = cause === undefined ? '' : ` The last failure: ${cause.message}`;
  return new SupervisorError(
    'CIRCUIT_OPEN',
    `Service "${name}" fails too often; the next start is possible in ${retryInMs} ms.${last}`,
    { cause, data: { name, retryInMs } },
  );
}
