import type { BootstrapDataErrorReason } from '../../operator/bootstrap/plan.ts';
import type { RunnerErrorReason } from '../../operator/runner/types.ts';
import type { SSHErrorReason } from '../../operator/ssh/types.ts';
import { condition } from './status.ts';
import { CONDITION, CONDITION_TYPES, DESCRIPTIONS, EXPLANATIONS, REASON } from './conditions.ts';
import type { Reason } from './conditions.ts';

/** Does not compile where an error's reason has no entry in the table. */
type Covered<T extends Reason> = T;
export type EveryErrorIsExplained = Covered<SSHErrorReason | RunnerErrorReason | BootstrapDataErrorReason>;

test('each name is its own value', () => {
  for (const table of [CONDITION, REASON]) for (const [key, value] of Object.entries(table)) expect(value).toBe(key);
});

test.each(Object.values(REASON))('%s makes a valid condition', (reason) => {
  const sample = { type: CONDITION.Ready, status: 'Unknown', reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
  expect(condition.safeParse(sample).error).toBeUndefined();
});

test.each(Object.entries(EXPLANATIONS))('%s is explained in whole sentences', (reason, { means, action }) => {
  expect(DESCRIPTIONS[reason as Reason]).toBe(means);
  expect(means).toMatch(/^\S[^\n|]*\.$/);
  if (action !== undefined) expect(action).toMatch(/^\S[^\n|]*$/);
});

test.each(Object.entries(CONDITION_TYPES))('%s belongs to a kind', (_type, { kinds, means }) => {
  expect(kinds.length).toBeGreaterThan(0);
  expect(means).toMatch(/\.$/);
});
