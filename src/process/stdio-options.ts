import * as z from 'zod/mini';
import { systemText } from '../check.ts';
import type { OutputTarget } from '../os/os.ts';

const output = () =>
  z.optional(
    z.union(
      [
        z.enum(['pipe', 'ignore', 'inherit']),
        z.strictObject({
          file: systemText().check(z.minLength(1)),
          append: z.optional(z.boolean()),
        }),
      ],
      {
        error: "must be 'pipe', 'ignore', 'inherit', or { file, append? } with the path of a file",
      },
    ),
  );

/** @internal */
export const stdioFields = () => ({
  stdin: z.optional(z.enum(['pipe', 'ignore', 'inherit'])),
  // Copy first: the request may wait, and the caller may change its own bytes meanwhile.
  input: z.optional(
    z.union(
      [
        z.string(),
        z.pipe(
          z.instanceof(Uint8Array),
          z.transform((bytes): Uint8Array => bytes.slice()),
        ),
      ],
      { error: 'must be a string or a Uint8Array' },
    ),
  ),
  stdout: output(),
  stderr: output(),
});

/** @internal The fields of a spawn hook's request, whose streams the SDK uses to talk to its agent. */
export function streamsOfTheSdk() {
  const error = "must be the SDK's own pipe, through which it speaks with its agent";
  const field = z.optional(z.undefined({ error }));
  return { stdin: field, input: field, stdout: field, stderr: field };
}

/** Sources and targets of a process's streams. */
export interface StdioOptions {
  /** `'pipe'`: reads the data written to {@link SupervisedProcess.stdin}. @default 'pipe' */
  stdin?: 'pipe' | 'ignore' | 'inherit' | undefined;
  /** The complete stdin, which is ended after it. */
  input?: string | Uint8Array | undefined;
  /**
   * `'pipe'`: the process blocks on a full pipe until {@link SupervisedProcess.stdout} is read.
   * @default 'pipe'
   */
  stdout?: OutputTarget | undefined;
  /** `'pipe'`: always read, for {@link ExitReport.stderrTail}; another target leaves the tail empty. @default 'pipe' */
  stderr?: OutputTarget | undefined;
}

/** @internal The part of a request that concerns streams. */
export interface StdioRequest extends StdioOptions {
  readonly outlivesHost?: boolean | undefined;
  readonly limits?: { readonly startupMs?: number | null | undefined } | undefined;
}

/** The streams of a process that are pipes of its host. */
export type Piped = Readonly<Record<'stdin' | 'stdout' | 'stderr', boolean>>;

/** @internal */
export function pipedOf({ stdin, stdout, stderr, outlivesHost }: StdioRequest): Piped {
  const isPiped = (where: unknown) => (where ?? (outlivesHost ? 'ignore' : 'pipe')) === 'pipe';
  return { stdin: isPiped(stdin), stdout: isPiped(stdout), stderr: isPiped(stderr) };
}

/** @internal Refuses streams that contradict each other or another option. */
export function requireStreams(
  request: StdioRequest,
  { addIssue }: Pick<z.core.$RefinementCtx, 'addIssue'>,
): void {
  const object = (path: string[], message: string) => addIssue({ code: 'custom', path, message });
  const { stdin, input, stdout, stderr, outlivesHost, limits } = request;
  if (outlivesHost) {
    for (const [name, where] of Object.entries({ stdin, stdout, stderr }))
      if (where === 'pipe')
        object([name], 'must not be a pipe with outlivesHost: it would break when the host ends');
  }
  if (input !== undefined && !pipedOf(request).stdin)
    object(['input'], 'must come with a stdin that is a pipe, and without outlivesHost');
  const isUnseen = [stdout, stderr].some((where) => where !== undefined && where !== 'pipe');
  if (isUnseen && limits?.startupMs != null)
    object(['limits', 'startupMs'], 'must come with a stdout and a stderr that are pipes');
}
