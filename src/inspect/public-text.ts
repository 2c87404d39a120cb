import type { Os } from '../os/os.ts';
import { redactSecrets, secretValues } from '../process/redaction.ts';

/** Makes of a name or a text what may be shown: without what looks like a secret, and without the host's own. */
export type PublicText = (text: string) => string;

export function publicText(os: Pick<Os, 'environment'>): PublicText {
  const environment = Object.entries(os.environment()).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const secrets = secretValues(Object.fromEntries(environment));
  const known = new Map<string, string>();
  return (text) => {
    // The same few names come again and again.
    let shown = known.get(text);
    if (shown === undefined) {
      shown = redactSecrets(text, secrets);
      known.set(text, shown);
    }
    return shown;
  };
}
