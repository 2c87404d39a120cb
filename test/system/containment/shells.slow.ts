// The guardian's script under the shells that another system may call `sh`.
import { PRESENT, QUICK } from '../../../kit/fed-guardian.ts';
import { describeGuardianUnder } from './shells.ts';

describeGuardianUnder(PRESENT.filter((shell) => !QUICK(shell)));
