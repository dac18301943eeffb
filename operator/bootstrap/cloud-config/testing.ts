import type { CommandStep, FileStep, InstanceData, Step } from '../plan.ts';
import { parseYaml } from './parse.ts';
import { planCloudConfig } from './planner.ts';

/** What tests of modules plan for. */
export const INSTANCE: InstanceData = { hostname: 'node-1', instanceID: 'i-1' };

export function planOf(yaml: string): { steps: Step[]; findings: string[] } {
  const { steps, findings } = planCloudConfig(parseYaml(yaml).root, INSTANCE);
  return { steps, findings: findings.map(({ reason, path }) => `${reason} ${path}`) };
}

export function filesOf(yaml: string): FileStep[] {
  return planOf(yaml).steps.filter((step) => step.kind === 'file');
}

export function commandsOf(yaml: string): CommandStep[] {
  return planOf(yaml).steps.filter((step) => step.kind === 'command');
}

/** The message of the refusal. */
export function refusalOf(yaml: string): string {
  try {
    planOf(yaml);
  } catch (error) {
    return (error as Error).message.replace('the bootstrap data cannot be carried out: ', '');
  }
  throw new Error('the document was not refused');
}
