/** How a template gets to what values have: `a.b`, which looks for an attribute first, and `a[b]`, which looks for it last. */
import { methodOf } from './methods.ts';
import { elementAt } from './operators.ts';
import { str } from './text.ts';
import { Callable, Dict, Thing, Undefined, type Value } from './values.ts';

function attribute(value: Value, name: string): Value | undefined {
  if (value instanceof Thing) return value.attribute(name);
  const call = methodOf(value, name);
  return call && new Callable(call);
}

/** @param missing takes the names of what does not exist and is written out */
export function member(value: Value, name: string, missing: Set<string>): Value {
  if (value instanceof Undefined) throw value.refusal();
  const own = attribute(value, name);
  const found = own === undefined && value instanceof Dict ? value.get(name) : own;
  return found === undefined ? new Undefined(name, missing) : found;
}

export function item(value: Value, key: Value, missing: Set<string>): Value {
  if (value instanceof Undefined) throw value.refusal();
  const isIndex = typeof key === 'bigint' || typeof key === 'boolean';
  const own = value instanceof Dict ? value.get(key) : isIndex ? elementAt(value, BigInt(key)) : undefined;
  const found = own === undefined && typeof key === 'string' ? attribute(value, key) : own;
  return found === undefined ? new Undefined(str(key), missing) : found;
}

/** What filters mean by an attribute: `a.b.0`; without one, the value itself. */
export function attributeGetter(path: Value, missing: Set<string>, otherwise: Value = null): (value: Value) => Value {
  if (path === null) return (value) => value;
  const parts = typeof path === 'string' ? path.split('.').map((part) => (/^\d+$/.test(part) ? BigInt(part) : part)) : [path];
  return (value) =>
    parts.reduce<Value>((inner, part) => {
      const found = item(inner, part, missing);
      return otherwise !== null && found instanceof Undefined ? otherwise : found;
    }, value);
}
