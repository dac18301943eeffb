import { countOf } from './count.ts';

const report = (numPassedTests: number, numFailedTests = 0, numRuntimeErrorTestSuites = 0) => ({
  numPassedTests,
  numFailedTests,
  numPendingTests: 0,
  numRuntimeErrorTestSuites,
});

test('what was skipped is counted apart', () => {
  expect(countOf({ ...report(3), numPendingTests: 2 }, true)).toEqual({ passed: 3, failed: 0, skipped: 2 });
});

test.each([
  ['all passed', report(3), true, { passed: 3, failed: 0 }],
  ['some failed', report(3, 2), false, { passed: 3, failed: 2 }],
  ['a suite that does not load', report(3, 1, 1), false, { passed: 3, failed: 2 }],
  ['passed, but the runner did not succeed', report(3), false, { passed: 3, failed: 1 }],
  ['nothing ran', report(0), true, { passed: 0, failed: 1 }],
  ['no report', undefined, false, { passed: 0, failed: 1 }],
  ['no report in spite of success', undefined, true, { passed: 0, failed: 1 }],
])('%s', (_, given, success, expected) => {
  expect(countOf(given, success)).toEqual(expected);
});
