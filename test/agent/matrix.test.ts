// A part of the matrix in which each end and each tree stands.
import { describeMatrix } from './matrix.ts';

describeMatrix('quick');
