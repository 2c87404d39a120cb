// What everything that a soak starts carries in its environment, and hands down to its heirs.

/** Names the soak. */
export const MARKER = 'SOAK';
/** Names what it is within the soak. */
export const TAG = 'SOAK_TAG';

export interface Tag {
  readonly kind:
    | 'host'
    | 'agent'
    | 'bomb'
    | 'run'
    | 'service'
    | 'daemon'
    | 'canary'
    | 'busy'
    | 'namespace';
  /** The host that has started it, by place and life: `2.1` is the first one at place 2. */
  readonly host: string;
  /** The conversation or service that it is, where it is one. */
  readonly name: string;
  /** This start, and no other. */
  readonly start: string;
}

export const formatTag = ({ kind, host, name, start }: Tag): string =>
  [kind, host, name, start].join('/');

export function parseTag(text: string): Tag {
  const [kind, host = '', name = '', start = ''] = text.split('/');
  return { kind: kind as Tag['kind'], host, name, start };
}
