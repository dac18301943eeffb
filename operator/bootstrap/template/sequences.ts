/** Jinja's filters of sequences. */
import { attributeGetter } from './access.ts';
import { bound, type Parameters, REQUIRED } from './arguments.ts';
import { arithmetic } from './operators.ts';
import { boundedElements, Refusal } from './refusal.ts';
import { joined } from './methods.ts';
import { str } from './text.ts';
import { type Arguments, compare, Dict, isTrue, iterable, Lazy, textOf, Tuple, Undefined, type Value } from './values.ts';

/** What a filter finds besides its arguments. */
export interface Context {
  /** Takes the names of what does not exist and is written out. */
  missing: Set<string>;
  filter: (name: string) => Filter;
  test: (name: string, given: Arguments) => (value: Value) => boolean;
}
export type Filter = (value: Value, given: Arguments, context: Context) => Value;

type Key = (item: Value) => Value;

const filter =
  (parameters: Parameters, apply: (context: Context, value: Value, ...values: Value[]) => Value): Filter =>
  (value, given, context) =>
    apply(context, value, ...bound(given, parameters));

export function list(value: Value): Value[] {
  const items = [...iterable(value)];
  boundedElements(items.length);
  return items;
}

function keyOf({ missing }: Context, attribute: Value = null, caseSensitive: Value = true): Key {
  const get = attributeGetter(attribute, missing);
  if (isTrue(caseSensitive)) return get;
  return (item) => {
    const key = get(item);
    return typeof key === 'string' ? key.toLowerCase() : key;
  };
}

function sorted(items: Value[], key: Key, reverse: Value = null): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const sign = isTrue(reverse) ? -1 : 1;
  return keyed.sort((a, b) => sign * compare(a.key, b.key)).map(({ item }) => item);
}

function* chosen(items: Iterable<Value>, matches: (item: Value) => boolean): Generator<Value> {
  for (const item of items) if (matches(item)) yield item;
}

function* mapped(items: Iterable<Value>, apply: Key): Generator<Value> {
  for (const item of items) yield apply(item);
}

const nothing = ({ missing }: Context) => new Undefined('None', missing);

const extreme = (sign: number): Filter =>
  filter({ case_sensitive: false, attribute: null }, (context, value, caseSensitive, attribute) => {
    const key = keyOf(context, attribute, caseSensitive);
    const [first, ...rest] = list(value).map((item) => ({ item, key: key(item) }));
    if (first === undefined) return nothing(context);
    return rest.reduce((best, next) => (sign * compare(next.key, best.key) > 0 ? next : best), first).item;
  });

/** select, reject and their like: a test and its arguments, before them an attribute. */
const selecting =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, { positional, named }, context) => {
    const [attribute = null, name, ...rest] = byAttribute ? positional : [null, ...positional];
    if (byAttribute && attribute === null) throw new Refusal('an argument is missing');
    const get = keyOf(context, attribute);
    const test = name === undefined ? isTrue : context.test(textOf(name), { positional: rest, named });
    return new Lazy(chosen(iterable(value), (item) => test(get(item)) === wanted));
  };

const map: Filter = (value, { positional: [name, ...positional], named }, context) => {
  if (name !== undefined) {
    const apply = context.filter(textOf(name));
    return new Lazy(mapped(iterable(value), (item) => apply(item, { positional, named }, context)));
  }
  const [attribute = null, otherwise = null] = bound({ positional, named }, { attribute: REQUIRED, default: null });
  return new Lazy(mapped(iterable(value), attributeGetter(attribute, context.missing, otherwise)));
};

export const OF_SEQUENCES: Record<string, Filter> = {
  dictsort: filter({ case_sensitive: false, by: 'key', reverse: false }, (context, value, caseSensitive, by, reverse) => {
    if (!(value instanceof Dict) || (by !== 'key' && by !== 'value'))
      throw new Refusal('dictsort() of what is no dict, or by something else');
    const pairs = [...value.entries()].map((entry) => new Tuple([...entry]));
    return sorted(pairs, keyOf(context, by === 'key' ? 0n : 1n, caseSensitive), reverse);
  }),
  first: filter({}, (context, value) => {
    const next = value instanceof Lazy ? value.next() : iterable(value)[Symbol.iterator]().next();
    return next.done === true ? nothing(context) : next.value;
  }),
  items: filter({}, (_, value) => {
    if (!(value instanceof Dict || value instanceof Undefined)) throw new Refusal('items() of what is no dict');
    return new Lazy(value instanceof Dict ? mapped(value, (key) => new Tuple([key, value.get(key) ?? null])) : []);
  }),
  join: filter({ d: '', attribute: null }, (context, value, separator = null, attribute = null) =>
    joined(str(separator), list(value).map(keyOf(context, attribute)).map(str)),
  ),
  last: filter({}, (context, value) => {
    if (value instanceof Lazy) throw new Refusal('last() of a generator');
    const items = list(value);
    return items.length === 0 ? nothing(context) : (items.at(-1) ?? null);
  }),
  list: filter({}, (_, value) => list(value)),
  map,
  max: extreme(1),
  min: extreme(-1),
  reject: selecting(false, false),
  rejectattr: selecting(false, true),
  reverse: filter({}, (_, value) => {
    if (typeof value === 'string') return Array.from(value).toReversed().join('');
    return value instanceof Lazy ? list(value).reverse() : new Lazy(list(value).reverse());
  }),
  select: selecting(true, false),
  selectattr: selecting(true, true),
  sort: filter({ reverse: false, case_sensitive: false, attribute: null }, (context, value, reverse, caseSensitive, attribute = null) => {
    const paths = typeof attribute === 'string' ? attribute.split(',') : [attribute];
    const keys = paths.map((path) => keyOf(context, path, caseSensitive));
    return sorted(list(value), (item) => keys.map((key) => key(item)), reverse);
  }),
  sum: filter({ attribute: null, start: 0n }, (context, value, attribute, start = null) => {
    if (typeof start === 'string') throw new Refusal('sum() of texts');
    const items = list(value).map(keyOf(context, attribute));
    return items.reduce((sum, next) => arithmetic('+', sum, next), start);
  }),
  unique: filter({ case_sensitive: false, attribute: null }, (context, value, caseSensitive, attribute) => {
    const [key, seen] = [keyOf(context, attribute, caseSensitive), new Dict()];
    const isNew = (item: Value) => {
      const { size } = seen;
      seen.set(key(item), true);
      return seen.size > size;
    };
    return new Lazy(chosen(iterable(value), isNew));
  }),
};
