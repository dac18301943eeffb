/** Methods of Python's types. What Python has besides is refused by name; any other name does not exist. */
import { type Builtin, builtin, REQUIRED } from './arguments.ts';
import { braceFormatted } from './format.ts';
import { boundedCharacters, boundedElements, Refusal } from './refusal.ts';
import { capitalized, lines, SPACE, strip } from './text.ts';
import { type Arguments, Dict, equal, integer, iterable, textOf, Tuple, typeName, type Value, View } from './values.ts';

type Methods<Self> = Record<string, Builtin<Self>>;

const only = { 1: REQUIRED } as const;
const plain = (apply: (text: string) => Value): Builtin<string> => builtin({}, apply);
const ends = (apply: 'startsWith' | 'endsWith'): Builtin<string> =>
  builtin(only, (text, part) => (part instanceof Tuple ? part.items : [part ?? null]).some((one) => text[apply](textOf(one))));
const stripping = (sides: 'left' | 'right' | 'both'): Builtin<string> =>
  builtin({ 1: null }, (text, characters) => strip(text, sides, characters === null ? undefined : textOf(characters)));
const splitting = (isFromRight: boolean): Builtin<string> =>
  builtin({ sep: null, maxsplit: -1n }, (text, separator = null, most) => split(text, separator, Number(integer(most)), isFromRight));

function split(text: string, separator: Value, most: number, isFromRight: boolean): string[] {
  if (separator === null) {
    if (most >= 0) throw new Refusal('it splits at white space a number of times, which is not supported');
    return text.split(new RegExp(`[${SPACE}]+`)).filter((word) => word !== '');
  }
  const between = textOf(separator);
  if (between === '') throw new Refusal('it splits at an empty text');
  const parts = text.split(between);
  if (most < 0 || parts.length <= most + 1) return parts;
  const kept = isFromRight ? parts.length - most : most;
  const [head, tail] = [parts.slice(0, kept), parts.slice(kept)];
  return isFromRight ? [head.join(between), ...tail] : [...head, tail.join(between)];
}

export function replaced(text: string, old: string, by: string, count: number): string {
  const places = old === '' ? Array.from(text).length + 1 : text.split(old).length - 1;
  boundedCharacters(text.length + places * Math.max(0, by.length - old.length));
  if (count < 0 || count >= places)
    return old === ''
      ? by +
          Array.from(text)
            .map((one) => one + by)
            .join('')
      : text.replaceAll(old, () => by);
  if (old === '') throw new Refusal('it replaces nothing a number of times');
  const parts = text.split(old);
  return [parts.slice(0, count + 1).join(by), ...parts.slice(count + 1)].join(old);
}

export function joined(separator: string, parts: string[]): string {
  boundedCharacters(parts.reduce((sum, part) => sum + part.length + separator.length, 0));
  return parts.join(separator);
}

const ofStr: Methods<string> = {
  upper: plain((text) => text.toUpperCase()),
  lower: plain((text) => text.toLowerCase()),
  capitalize: plain(capitalized),
  title: plain((text) => text.replaceAll(/[\p{Lu}\p{Ll}\p{Lt}]+/gu, capitalized)),
  strip: stripping('both'),
  lstrip: stripping('left'),
  rstrip: stripping('right'),
  split: splitting(false),
  rsplit: splitting(true),
  splitlines: plain(lines),
  replace: builtin({ 1: REQUIRED, 2: REQUIRED, 3: -1n }, (text, old, by, count) =>
    replaced(text, textOf(old), textOf(by), Number(integer(count))),
  ),
  startswith: ends('startsWith'),
  endswith: ends('endsWith'),
  find: builtin(only, (text, part) => {
    const offset = text.indexOf(textOf(part));
    return BigInt(offset < 0 ? -1 : Array.from(text.slice(0, offset)).length);
  }),
  count: builtin(only, (text, part) => BigInt(textOf(part) === '' ? Array.from(text).length + 1 : text.split(textOf(part)).length - 1)),
  join: builtin(only, (text, items = null) => joined(text, [...iterable(items)].map(textOf))),
  format: braceFormatted,
  zfill: builtin(only, (text, width) => {
    const [, sign = '', rest = ''] = /^([-+]?)([^]*)$/.exec(text) ?? [];
    return sign + '0'.repeat(Math.max(0, boundedCharacters(Number(integer(width))) - Array.from(text).length)) + rest;
  }),
  isdigit: plain((text) => {
    if (/[^\0-\x7f]/.test(text)) throw new Refusal('it asks for the kind of letters beyond ASCII');
    return /^\d+$/.test(text);
  }),
};

function extend(list: Value[], items: Value): Value {
  const added = [...iterable(items)];
  boundedElements(list.length + added.length);
  for (const item of added) list.push(item);
  return null;
}

const ofList: Methods<Value[]> = {
  append: builtin(only, (list, value = null) => extend(list, [value])),
  extend: builtin(only, (list, items = null) => extend(list, items)),
  insert: builtin({ 1: REQUIRED, 2: REQUIRED }, (list, at, value = null) => (list.splice(Number(integer(at)), 0, value), null)),
  pop: builtin({ 1: -1n }, (list, at) => {
    const place = Number(integer(at));
    const [value] = place < -list.length ? [] : list.splice(place, 1);
    if (value === undefined) throw new Refusal('it takes an element that is not there');
    return value;
  }),
  index: builtin(only, (list, value = null) => {
    const place = list.findIndex((item) => equal(item, value));
    if (place < 0) throw new Refusal('it looks for an element that is not there');
    return BigInt(place);
  }),
  count: builtin(only, (list, value = null) => BigInt(list.filter((item) => equal(item, value)).length)),
};

/** As dict(), namespace() and update() take them: another dict, or pairs, and what has names. */
export function entriesOf({ positional: [source, ...rest], named }: Arguments): [Value, Value][] {
  if (rest.length > 0) throw new Refusal('too many arguments are given');
  const pairs = source instanceof Dict ? source.entries() : [...iterable(source ?? [])].map(pair);
  return [...pairs, ...named];
}

function pair(value: Value): [Value, Value] {
  const [key, item, ...rest] = iterable(value);
  if (key === undefined || item === undefined || rest.length > 0) throw new Refusal('a dict is made of what is no pair');
  return [key, item];
}

const ofDict: Methods<Dict> = {
  get: builtin({ 1: REQUIRED, 2: null }, (dict, key = null, otherwise = null) => {
    const value = dict.get(key);
    return value === undefined ? otherwise : value;
  }),
  items: builtin({}, (dict) => new View('items', dict)),
  keys: builtin({}, (dict) => new View('keys', dict)),
  values: builtin({}, (dict) => new View('values', dict)),
  update: (dict, given) => {
    for (const [key, value] of entriesOf(given)) dict.set(key, value);
    boundedElements(dict.size);
    return null;
  },
};

const OF_NUMBERS =
  'as_integer_ratio bit_count bit_length conjugate denominator from_bytes fromhex hex imag is_integer numerator real to_bytes';

const TYPES: Record<string, { methods: Methods<never>; others: string }> = {
  str: {
    methods: ofStr,
    others:
      'casefold center encode expandtabs format_map index isalnum isalpha isascii isdecimal isidentifier islower isnumeric isprintable ' +
      'isspace istitle isupper ljust maketrans partition removeprefix removesuffix rfind rindex rjust rpartition swapcase translate',
  },
  list: { methods: ofList, others: 'clear copy remove reverse sort' },
  tuple: { methods: {}, others: 'count index' },
  dict: { methods: ofDict, others: 'clear copy fromkeys pop popitem setdefault' },
  range: { methods: {}, others: 'count index start step stop' },
  int: { methods: {}, others: OF_NUMBERS },
  bool: { methods: {}, others: OF_NUMBERS },
  float: { methods: {}, others: OF_NUMBERS },
  None: { methods: {}, others: '' },
};

/** None where the type has none of that name. */
export function methodOf(value: Value, name: string): ((given: Arguments) => Value) | undefined {
  const type = TYPES[typeName(value)];
  if (type === undefined || name.startsWith('__') || type.others.split(' ').includes(name)) {
    throw new Refusal(`the attribute ${name} of a ${typeName(value)} is not supported`);
  }
  const method = Object.hasOwn(type.methods, name) ? (type.methods[name] as Builtin<Value> | undefined) : undefined;
  return method && ((given) => method(value, given));
}
