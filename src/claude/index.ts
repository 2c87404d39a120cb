export { type IsolatedCwdOptions, isolatedCwd } from './isolated-cwd.ts';
export { type SuperviseQueryOptions, superviseQuery } from './supervise-query.ts';
