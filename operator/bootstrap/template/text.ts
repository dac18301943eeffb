/** What values look like where they are written out: Python's str() and repr(). */
import { boundedText, Refusal } from './refusal.ts';
import { Dict, Markup, Range, Tuple, typeName, Undefined, View, type Value } from './values.ts';

/** Python's white space, as the inside of a character class. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const SPACES = new RegExp(`[${SPACE}]`);

export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  return value instanceof Undefined ? value.write() : repr(value);
}

export function repr(value: Value): string {
  // Bounded at every level: a list may hold another one twice, which does so, too.
  const joined = (parts: string[]) => boundedText(parts.join(', '));
  const list = (items: Iterable<Value>) => joined([...items].map(repr));
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return float(value);
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Undefined) return 'Undefined';
  if (Array.isArray(value)) return `[${list(value)}]`;
  if (value instanceof Tuple) return `(${list(value.items)}${value.items.length === 1 ? ',' : ''})`;
  if (value instanceof Dict) return `{${joined([...value.entries()].map(([key, item]) => `${repr(key)}: ${repr(item)}`))}}`;
  if (value instanceof View) return `dict_${value.kind}([${list(value)}])`;
  if (value instanceof Range) return `range(${value.start}, ${value.stop}${value.step === 1n ? '' : `, ${value.step}`})`;
  throw new Refusal(`it writes out a ${typeName(value)}`);
}

function float(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e16) return `${Object.is(value, -0) ? '-0' : value}.0`;
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  if (Number(exponent) >= 16 || Number(exponent) < -4) return `${digits}e${exponent.replace(/^([-+])(\d)$/, '$10$2')}`;
  const places = digits.replace(/^-?\d\.?/, '').length - Number(exponent);
  return value.toFixed(Math.max(1, places));
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replaceAll(/[\\'"]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === '\\' || character === quote) return `\\${character}`;
    if (character === "'" || character === '"') return character;
    return ESCAPES[character] ?? escaped(character.codePointAt(0) ?? 0);
  });
  return quote + inner + quote;
}

const ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(code: number): string {
  const hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, '0')}` : code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** Python's strip(): white space, or all of the characters given. */
export function strip(text: string, sides: 'left' | 'right' | 'both' = 'both', characters?: string): string {
  const all = Array.from(text);
  const goes = (character: string | undefined) =>
    character !== undefined && (characters === undefined ? SPACES.test(character) : characters.includes(character));
  let [start, end] = [0, all.length];
  while (sides !== 'right' && start < end && goes(all[start])) start++;
  while (sides !== 'left' && end > start && goes(all[end - 1])) end--;
  return all.slice(start, end).join('');
}

/** Python's splitlines(): no line follows the last break. */
export function lines(text: string): string[] {
  const all = text.split(/\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/);
  if (all.at(-1) === '') all.pop();
  return all;
}

export function capitalized(text: string): string {
  const [first = '', ...rest] = Array.from(text);
  // Such as ß, for which Python knows two kinds of capitals.
  if (first.toUpperCase().length > first.length) throw new Refusal('it makes a capital of a letter that has none of its own');
  return first.toUpperCase() + rest.join('').toLowerCase();
}
