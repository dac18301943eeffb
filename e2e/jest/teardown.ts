/** After all suites. */
import { teardown } from './setup.ts';

/** What of Jest's configuration narrows down which tests run. */
interface Selection {
  testPathPatterns: { patterns: string[] };
  testNamePattern?: string;
  nonFlagArgs: string[];
  shard?: object;
  onlyChanged: boolean;
  onlyFailures: boolean;
  findRelatedTests: boolean;
  bail: number;
}

const isWhole = (selection: Selection): boolean => {
  const { onlyChanged, onlyFailures, findRelatedTests, bail, shard, testNamePattern } = selection;
  const patterns = [...selection.testPathPatterns.patterns, ...selection.nonFlagArgs];
  return (
    patterns.length === 0 && !testNamePattern && shard === undefined && !onlyChanged && !onlyFailures && !findRelatedTests && bail === 0
  );
};

export default async (selection: Selection): Promise<void> => {
  try {
    teardown.judge(isWhole(selection));
  } finally {
    await teardown.stop();
  }
};
