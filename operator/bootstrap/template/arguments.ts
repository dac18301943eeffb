import { Refusal } from './refusal.ts';
import type { Arguments, Value } from './values.ts';

export const REQUIRED = Symbol('required');

/** Names of parameters in their order, with what they are where they are not given; a number stands for one that has no name. */
export type Parameters = Record<string, Value | typeof REQUIRED>;

/** What a filter, a test or a method does with its arguments. */
export type Builtin<Self> = (self: Self, given: Arguments) => Value;

export const builtin =
  <Self>(parameters: Parameters, apply: (self: Self, ...values: Value[]) => Value): Builtin<Self> =>
  (self, given) =>
    apply(self, ...bound(given, parameters));

export function bound({ positional, named }: Arguments, parameters: Parameters): Value[] {
  const names = Object.keys(parameters);
  if (positional.length > names.length) throw new Refusal('too many arguments are given');
  for (const name of named.keys()) {
    if (names.indexOf(name) < positional.length || /^\d/.test(name)) {
      throw new Refusal('an argument is given by a name that there is not, or twice');
    }
  }
  return names.map((name, index) => {
    const given = index < positional.length ? positional[index] : named.get(name);
    const value = given === undefined ? parameters[name] : given;
    if (value === undefined || value === REQUIRED) throw new Refusal('an argument is missing');
    return value;
  });
}
