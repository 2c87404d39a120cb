// The rest of the matrix.
import { describeMatrix } from './matrix.ts';

describeMatrix('rest');
