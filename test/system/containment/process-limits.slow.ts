// A guardian at a process limit, under the shells that another system may call `sh`.
import { PRESENT, QUICK } from '../../../kit/fed-guardian.ts';
import { describeLimitsUnder } from './process-limits.ts';

describeLimitsUnder(PRESENT.filter((shell) => !QUICK(shell)));
