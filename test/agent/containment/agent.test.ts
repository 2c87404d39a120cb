// The deaths of a host that differ most.
import { describeDeaths } from './agent.ts';

describeDeaths('quick');
