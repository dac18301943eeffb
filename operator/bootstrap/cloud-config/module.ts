import type { z } from 'zod';
import type { Budget } from '../format.ts';
import type { CommandStep, InstanceData, Step } from '../plan.ts';
import type { Path } from './path.ts';

/** What a module may know and tell besides its own keys. */
export interface Context {
  instance: InstanceData;
  /** What may still be decompressed. */
  budget: Budget;
  /** Tells a person something although the data is honoured (see Finding). */
  note: (this: void, reason: string, path: Path, message: string) => void;
}

/**
 * Carries out some top-level keys of a document. Both parts are pure: `keys` decides what is valid (a schema may refuse a key
 * that it doesn't know, which is then reported as unsupported), `plan` makes the steps from valid values.
 */
export interface Module<Keys extends Record<string, z.ZodType> = Record<string, z.ZodType>> {
  keys: Keys;
  /** Called if the document has one of the keys; values of those that it lacks are undefined. */
  plan(values: { [Key in keyof Keys]?: z.output<Keys[Key]> }, context: Context): Step[];
}

/** A script of the product's own, run by /bin/sh as a process of its own. */
export function scriptStep(name: string, script: string): CommandStep {
  return { kind: 'command', name, script, interpreter: ['/bin/sh'] };
}

/** Keeps the types between `keys` and `plan` within a module, and hides them from the list of modules. */
export function defineModule<Keys extends Record<string, z.ZodType>>(module: Module<Keys>): Module {
  return module;
}
