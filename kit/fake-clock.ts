// The kit's own clock: the project's tests use what it gives to others.
export { FakeClock } from '../src/testing/fake-clock.ts';
