// The other deaths of a host.
import { describeDeaths } from './agent.ts';

describeDeaths('rest');
