// A process that its host has let go: the quickest way for a host to die. The others: disown.slow.ts.
import { describeHostDeath, WAYS } from './disown.ts';

describeHostDeath(WAYS.slice(0, 1));
