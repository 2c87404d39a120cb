// A host's system with one protection switched off.
import { withEndlessNumbers } from '../kit/endless-numbers.ts';
import { guardByNode, guardByShell } from '../src/os/guard.ts';
import { GUARDIAN_SCRIPT } from '../src/os/guardian-script.ts';
import type { Os } from '../src/os/os.ts';
import type { Protection } from './controls.ts';

/** Options switch the other ones off. */
export function unprotected(os: Os, without: Protection | undefined): Os {
  switch (without) {
    case 'identity':
      return blurred(os);
    case 'launcher':
      return { ...os, guard: guardByNode };
    case 'builtins':
      return { ...os, guard: (request) => guardByShell(request, withoutBuiltins()) };
    case 'numbers':
      return withEndlessNumbers(os);
    default:
      return os;
  }
}

/** A system on which all processes have begun at the same moment. */
function blurred(os: Os): Os {
  const { processes } = os;
  const blur = <P extends object>(row: P): P => ({ ...row, startTime: '1' });
  return {
    ...os,
    identify: () => blur(os.identify()),
    processes: {
      snapshot: async () => {
        const table = await processes.snapshot();
        return new Map([...table].map(([pid, row]) => [pid, blur(row)]));
      },
      read: (pid) => {
        const row = processes.read?.(pid);
        return row && blur(row);
      },
    },
  };
}

function withoutBuiltins(): string {
  const script = GUARDIAN_SCRIPT.replace('|| look_by_builtins "$1"', '|| :');
  if (script === GUARDIAN_SCRIPT) throw new Error('the guardian looks in another way');
  return script;
}
