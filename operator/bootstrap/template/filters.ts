/** Jinja's filters. Those that only make HTML, guess or look different from run to run are refused by name, and so are rare ones. */
import { builtin, REQUIRED } from './arguments.ts';
import { percentFormatted } from './format.ts';
import { json } from './json.ts';
import { replaced } from './methods.ts';
import { rounded, toFloat, toInteger } from './numbers.ts';
import { negative } from './operators.ts';
import { boundedCharacters, Refusal } from './refusal.ts';
import { type Context, type Filter, OF_SEQUENCES } from './sequences.ts';
import { testNamed } from './tests.ts';
import { capitalized, lines, SPACE, str, strip } from './text.ts';
import {
  type Arguments,
  Dict,
  integer,
  isNumber,
  isTrue,
  lengthOrNone,
  Markup,
  numeric,
  textOf,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

const OTHERS =
  'attr batch center e escape filesizeformat forceescape groupby pprint random slice striptags truncate urlencode urlize wordcount wordwrap xmlattr';

/** Jinja's soft_str(). */
function soft(value: Value): string {
  if (value instanceof Markup) throw new Refusal('it does more than write out what a filter made for HTML');
  return str(value);
}

const ofText = (apply: (text: string) => Value): Filter => builtin<Value>({}, (value) => apply(soft(value)));

const length: Filter = builtin<Value>({}, (value) => {
  const count = lengthOrNone(value);
  if (count === undefined) throw new Refusal(`a ${typeName(value)} has no length`);
  return BigInt(count);
});

const otherwise: Filter = builtin<Value>({ default_value: '', boolean: false }, (value, instead = null, boolean = null) =>
  value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? instead : value,
);

function indented(text: string, width: Value, first: Value, blank: Value): string {
  const indention = typeof width === 'string' ? width : ' '.repeat(boundedCharacters(Math.max(0, Number(integer(width)))));
  const [head = '', ...rest] = lines(`${text}\n`);
  boundedCharacters(text.length + (rest.length + 1) * (indention.length + 1));
  const body = rest.map((line) => `\n${line === '' && !isTrue(blank) ? '' : indention}${line}`);
  return (isTrue(first) ? indention : '') + head + body.join('');
}

const FILTERS: Record<string, Filter> = {
  ...OF_SEQUENCES,
  abs: builtin<Value>({}, (value) => {
    if (!isNumber(value)) throw new Refusal(`abs() of a ${typeName(value)}`);
    const number = numeric(value);
    return number < 0 || Object.is(number, -0) ? negative(number) : number;
  }),
  capitalize: ofText(capitalized),
  count: length,
  d: otherwise,
  default: otherwise,
  float: builtin<Value>({ default: 0 }, (value, fallback = null) => toFloat(value, fallback)),
  format: (value, { positional, named }) => {
    if (positional.length > 0 && named.size > 0) throw new Refusal('a format is given values with names and without');
    return percentFormatted(soft(value), named.size > 0 ? new Dict(named) : new Tuple(positional));
  },
  indent: builtin<Value>({ width: 4n, first: false, blank: false }, (value, width = null, first = null, blank = null) =>
    value instanceof Markup ? new Markup(indented(value.text, width, first, blank)) : indented(textOf(value), width, first, blank),
  ),
  int: builtin<Value>({ default: 0n, base: 10n }, (value, fallback = null, base = null) => toInteger(value, fallback, base)),
  length,
  lower: ofText((text) => text.toLowerCase()),
  replace: builtin<Value>({ old: REQUIRED, new: REQUIRED, count: null }, (value, old = null, by = null, most = null) =>
    replaced(str(value), str(old), str(by), most === null ? -1 : Number(integer(most))),
  ),
  round: builtin<Value>({ precision: 0n, method: 'common' }, rounded),
  safe: builtin<Value>({}, (value) => new Markup(str(value))),
  string: builtin<Value>({}, (value) => (value instanceof Markup ? value : str(value))),
  title: ofText((text) =>
    text
      .split(new RegExp(`([-${SPACE}({\\[<]+)`))
      .map(capitalized)
      .join(''),
  ),
  tojson: builtin<Value>({ indent: null }, (value, indent = null) => {
    const text = json(value, indent === null ? undefined : Number(integer(indent)));
    return new Markup(text.replaceAll(/[<>&']/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`));
  }),
  trim: builtin<Value>({ chars: null }, (value, characters = null) =>
    strip(soft(value), 'both', characters === null ? undefined : textOf(characters)),
  ),
  upper: ofText((text) => text.toUpperCase()),
};

export function filterNamed(name: string): Filter {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  if (filter !== undefined) return filter;
  throw new Refusal(OTHERS.split(' ').includes(name) ? `the filter ${name} is not supported` : 'it has a filter that Jinja does not have');
}

export const applyFilter = (name: string, value: Value, given: Arguments, missing: Set<string>): Value => {
  const context: Context = { missing, filter: filterNamed, test: testNamed };
  return filterNamed(name)(value, given, context);
};
