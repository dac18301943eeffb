/** What Python and Jinja's filters make a number of. */
import { fixed } from './format.ts';
import { Refusal } from './refusal.ts';
import { strip } from './text.ts';
import { integer, isNumber, numeric, Undefined, type Value } from './values.ts';

const INTEGERS: Record<string, { prefix: string; pattern: RegExp }> = {
  2: { prefix: '0b', pattern: /^([-+]?)(?:0b_?)?([01]+(?:_[01]+)*)$/i },
  8: { prefix: '0o', pattern: /^([-+]?)(?:0o_?)?([0-7]+(?:_[0-7]+)*)$/i },
  10: { prefix: '', pattern: /^([-+]?)(\d+(?:_\d+)*)$/ },
  16: { prefix: '0x', pattern: /^([-+]?)(?:0x_?)?([\da-f]+(?:_[\da-f]+)*)$/i },
};
const FLOAT = /^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+(?:_\d+)*)?$/i;

export function toInteger(value: Value, fallback: Value, base: Value): Value {
  if (typeof value === 'string') {
    const how = INTEGERS[String(integer(base))];
    if (how === undefined) throw new Refusal('int() of such a base is not supported');
    const [, sign = '', digits = ''] = how.pattern.exec(strip(value)) ?? [];
    if (digits !== '') return BigInt(how.prefix + digits.replaceAll('_', '')) * (sign === '-' ? -1n : 1n);
  }
  const number = numberOf(value);
  return number === undefined ? fallback : typeof number === 'bigint' ? number : BigInt(Math.trunc(number));
}

export function toFloat(value: Value, fallback: Value): Value {
  const number = numberOf(value);
  return number === undefined ? fallback : Number(number);
}

/** None for what is no number to Python. */
function numberOf(value: Value): number | bigint | undefined {
  if (value instanceof Undefined) throw value.refusal();
  if (isNumber(value)) return finite(numeric(value));
  const text = typeof value === 'string' ? strip(value) : '';
  if (/^[-+]?(?:inf(?:inity)?|nan)$/i.test(text) || /[^\0-\x7f]/.test(text)) throw new Refusal('it makes a number of an unusual text');
  return FLOAT.test(text) ? finite(Number(text.replaceAll('_', ''))) : undefined;
}

function finite<Of extends number | bigint>(value: Of): Of {
  if (!Number.isFinite(Number(value))) throw new Refusal('a float of it is too large');
  return value;
}

export function rounded(value: Value, precision: Value | undefined, method: Value | undefined): Value {
  const places = Number(integer(precision));
  if (!isNumber(value) || places < 0 || places > 15) throw new Refusal('it rounds what is no number, or to tens');
  const number = numeric(value);
  if (method === 'common') return typeof number === 'bigint' ? number : Number(fixed(number, places));
  if (method !== 'ceil' && method !== 'floor') throw new Refusal('it rounds in a way that Jinja does not have');
  return (Math[method](Number(number) * 10 ** places) + 0) / 10 ** places; // no -0
}
