// The guardian's script under the system's own `sh`, and where only ps tells.
import { PRESENT, QUICK } from '../../../kit/fed-guardian.ts';
import { describeGuardianUnder } from './shells.ts';

describeGuardianUnder(PRESENT.filter(QUICK));
