import type { CleanupPlan } from './plan.ts';

/** spec.cleanUpCommands as they stand. What they should achieve only their author knows, so each must exit 0. */
export function cleanUpCommands(commands: string[]): CleanupPlan {
  return {
    source: 'cleanUpCommands',
    commands: commands.map((script, index) => ({ name: `cleanUpCommands[${index}]`, script, mayFail: false })),
    checks: [],
  };
}
