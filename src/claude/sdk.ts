/** What we use of the SDK's query object, whichever version it is of. */
export interface RunningQuery extends AsyncGenerator<unknown, unknown> {
  close?(): void;
  usage_EXPERIMENTAL_MAY_CHANGE_DO_NOT_RELY_ON_THIS_API_YET?(options: object): Promise<unknown>;
}

/** What we read of a query's parameters. */
export interface QueryParams {
  readonly options?: {
    readonly abortController?: AbortController | undefined;
    readonly spawnClaudeCodeProcess?: unknown;
    readonly [option: string]: unknown;
  };
}
