/** The members of the SDK's query object that are used here, in every version. */
export interface RunningQuery extends AsyncGenerator<unknown, unknown> {
  close?(): void;
  usage_EXPERIMENTAL_MAY_CHANGE_DO_NOT_RELY_ON_THIS_API_YET?(options: object): Promise<unknown>;
}

/** The parameters of a query that are read here. */
export interface QueryParams {
  readonly options?: {
    readonly abortController?: AbortController | undefined;
    readonly spawnClaudeCodeProcess?: unknown;
    readonly [option: string]: unknown;
  };
}
