// The tests use the clock that the package offers to its users.
export { FakeClock } from '../src/testing/fake-clock.ts';
