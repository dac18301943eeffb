/** What a test runner's report comes to. */
export interface Count {
  passed: number;
  failed: number;
  skipped?: number;
}

/** The parts of Jest's --json report that count. */
export interface JestReport {
  numPassedTests: number;
  /** Skipped. */
  numPendingTests: number;
  numFailedTests: number;
  /** Suites that could not even be loaded. */
  numRuntimeErrorTestSuites: number;
}

/**
 * @param report of Jest, undefined if it wrote none.
 * @param success whether it ended with exit code 0.
 */
export function countOf(report: JestReport | undefined, success: boolean): Count {
  if (report === undefined) return { passed: 0, failed: 1 };
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  // Nothing failed, nothing ran, or an error outside all tests: without success that is a failure of its own.
  const silent = failed === 0 && (!success || report.numPassedTests === 0);
  const skipped = report.numPendingTests > 0 && { skipped: report.numPendingTests };
  return { passed: report.numPassedTests, failed: silent ? 1 : failed, ...skipped };
}
