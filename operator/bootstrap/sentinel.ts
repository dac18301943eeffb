import type { Step } from './plan.ts';

/** The file that a bootstrap provider's last command writes (Cluster API contract). */
export const SENTINEL = '/run/cluster-api/bootstrap-success.complete';

export function mentionsSentinel(step: Step): boolean {
  if (step.kind === 'file') return Buffer.from(step.content).includes(SENTINEL);
  return step.kind === 'command' && step.script.includes(SENTINEL);
}
