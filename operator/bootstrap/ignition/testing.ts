import type { CommandStep, FileStep, Step } from '../plan.ts';
import { planIgnition } from './planner.ts';

/** A document with as little as it needs. */
export const document = (rest: object, version = '3.4.0', ignition: object = {}): string =>
  JSON.stringify({ ignition: { version, ...ignition }, ...rest }, undefined, 1);

export const dataURL = (content: string | Uint8Array): string => `data:;base64,${Buffer.from(content).toString('base64')}`;

export function planOf(text: string): { steps: Step[]; findings: string[] } {
  const { steps, findings } = planIgnition(text);
  return { steps, findings: findings.map(({ reason, path }) => `${reason} ${path}`) };
}

export const namesOf = (text: string): string[] => planOf(text).steps.map(({ name }) => name);
export const filesOf = (text: string): FileStep[] => planOf(text).steps.filter((step) => step.kind === 'file');

/** Of each file its path, mode, owner and content. */
export const written = (text: string): unknown[] =>
  filesOf(text).map(({ path, mode, owner, content }) => [path, mode.toString(8), owner, Buffer.from(content).toString()]);

export function scriptOf(text: string, name: string): string {
  const step = planOf(text).steps.find((one): one is CommandStep => one.kind === 'command' && one.name.includes(name));
  if (step === undefined) throw new Error(`no step has ${name} in its name`);
  return step.script;
}

/** The message of the refusal. */
export function refusalOf(text: string): string {
  try {
    planOf(text);
  } catch (error) {
    return (error as Error).message.replace('the bootstrap data cannot be carried out: ', '');
  }
  throw new Error('the document was not refused');
}
