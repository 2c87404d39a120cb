import type { Os } from '../os/os.ts';
import { redactSecrets, secretValues } from '../process/redaction.ts';

/** Redacts the host's secrets, and anything that looks like a secret, in a name or a text. */
export type PublicText = (text: string) => string;

export function publicText(os: Pick<Os, 'environment'>): PublicText {
  const environment = Object.entries(os.environment()).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const secrets = secretValues(Object.fromEntries(environment));
  const known = new Map<string, string>();
  return (text) => {
    // Cached: a report shows the same few names many times.
    let shown = known.get(text);
    if (shown === undefined) {
      shown = redactSecrets(text, secrets);
      known.set(text, shown);
    }
    return shown;
  };
}
