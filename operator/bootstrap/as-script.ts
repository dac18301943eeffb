import type { CommandStep, Plan, Step } from './plan.ts';

/**
 * The plan under commandsAsScript: commands that follow each other in one shared shell become one `set -e` script, so that a
 * construct of the shell may reach over several entries. All other steps stay as they are and where they are.
 */
export function asScript(plan: Plan): Plan {
  const steps: Step[] = [];
  let group: CommandStep[] = [];
  const flush = () => {
    if (group.length > 0) steps.push(merge(group));
    group = [];
  };
  for (const step of plan.steps) {
    const shared = step.kind === 'command' && step.interpreter === undefined;
    if (!shared || group[0]?.shell !== step.shell) flush();
    if (shared) group.push(step);
    else steps.push(step);
  }
  flush();
  return { ...plan, steps };
}

function merge(group: CommandStep[]): CommandStep {
  const names = group.map((step) => step.name);
  const first = names[0] ?? '';
  const last = names.at(-1) ?? '';
  const name = first === last ? `${first} as one script` : `${first} to ${last} as one script`;
  return { kind: 'command', name, script: ['set -e', ...group.map((step) => step.script), ''].join('\n'), interpreter: ['/bin/sh'] };
}
