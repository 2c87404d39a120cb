// A guardian at a process limit, under the system's own `sh`.
import { PRESENT, QUICK } from '../../../kit/fed-guardian.ts';
import { describeLimitsUnder } from './process-limits.ts';

describeLimitsUnder(PRESENT.filter(QUICK));
