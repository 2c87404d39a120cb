export { type SuperviseQueryOptions, superviseQuery } from './supervise-query.ts';
