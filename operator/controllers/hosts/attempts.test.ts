import { Attempts } from './attempts.ts';
import type { Failure } from './failure.ts';

const failure: Failure = { reason: 'ConnectTimeout', message: 'no answer', terminal: false, concerns: 'access' };
let attempts: Attempts;

beforeEach(() => {
  jest.useFakeTimers();
  attempts = new Attempts(1_000, 30_000);
});
afterEach(() => {
  jest.useRealTimers();
});

test('waits double from the first to the longest, with up to a tenth more', () => {
  for (const base of [1, 2, 4, 8, 16, 30, 30]) {
    const { wait } = attempts.failed('a', 'v', failure);
    expect(wait).toBeGreaterThanOrEqual(base * 1000);
    expect(wait).toBeLessThanOrEqual(base * 1100);
  }
});

test('a failure is pending until its wait is over, and told until the next outcome', () => {
  const { wait } = attempts.failed('a', 'v', failure);
  expect(attempts.pending('a', 'v')).toMatchObject({ failure });
  jest.advanceTimersByTime(wait + 1);
  expect(attempts.pending('a', 'v')).toBeUndefined();
  expect(attempts.last('a', 'v')).toBe(failure);
  attempts.succeeded('a');
  expect(attempts.last('a', 'v')).toBeUndefined();
});

test('what was changed is tried at once, with backoff from the beginning', () => {
  attempts.failed('a', 'v1', failure);
  attempts.failed('a', 'v1', failure);
  expect(attempts.last('a', 'v2')).toBeUndefined();
  expect(attempts.pending('a', 'v2')).toBeUndefined();
  expect(attempts.failed('a', 'v2', failure).wait).toBeLessThan(1_200);
});

test('keys have nothing to do with each other', () => {
  attempts.failed('a', 'v', failure);
  expect(attempts.pending('b', 'v')).toBeUndefined();
  attempts.succeeded('b');
  expect(attempts.pending('a', 'v')).toBeDefined();
});
