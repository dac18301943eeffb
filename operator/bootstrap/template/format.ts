/** Python's two ways to format: `'%02d' % n`, and `'{:>5}'.format(x)`. */
import { boundedCharacters, Refusal } from './refusal.ts';
import { repr, str } from './text.ts';
import { type Arguments, Dict, integer, isNumber, numeric, Tuple, typeName, type Value } from './values.ts';

interface Specification {
  /** `=`: zeros between the sign and the digits. */
  align: '<' | '>' | '=';
  sign: string;
  width: number;
  precision: number | undefined;
  type: string;
}

const unsupported = () => new Refusal('it formats in a way that is not supported');

function given<Found>(value: Found | undefined): Found {
  if (value === undefined) throw new Refusal('a format asks for a value that is not given');
  return value;
}

const PERCENT = /%(?:%|(?:\((?<key>[^()]*)\))?(?<flags>[-+ 0]*)(?<width>\d*)(?:\.(?<precision>\d+))?(?<type>[a-zA-Z])|)/g;

export function percentFormatted(format: string, values: Value): string {
  const all = values instanceof Tuple ? values.items : [values];
  let used = 0;
  const named = /%\(/.test(format);
  let text = '';
  let end = 0;
  for (const { 0: whole, groups, index } of format.matchAll(PERCENT)) {
    text += format.slice(end, index);
    end = index + whole.length;
    const { key, flags = '', width, precision, type } = groups ?? {};
    if (whole === '%%') text += '%';
    else if (type === undefined) throw unsupported();
    else {
      const value = given(key === undefined ? (named ? undefined : all[used++]) : values instanceof Dict ? values.get(key) : undefined);
      const shown = type === 's' ? str(value) : type === 'r' ? repr(value) : value;
      const isText = shown !== value || typeof shown === 'string';
      text += formatted(/[diu]/.test(type) && typeof shown === 'number' ? BigInt(Math.trunc(shown)) : shown, {
        align: flags.includes('-') ? '<' : flags.includes('0') && !isText ? '=' : '>',
        sign: /\+| /.exec(flags.replace(/ (?=.*\+)/, ''))?.[0] ?? '',
        width: Number(width),
        precision: precision === undefined ? undefined : Number(precision),
        type: /[diu]/.test(type) ? 'd' : type === 'r' ? 's' : type,
      });
    }
  }
  if (used < all.length && !(values instanceof Dict)) throw new Refusal('a format is given more values than it asks for');
  return text + format.slice(end);
}

const SPECIFICATION = /^(?<align>[<>]?)(?<sign>[-+ ]?)(?<zero>0?)(?<width>\d*)(?:\.(?<precision>\d+))?(?<type>[sdfxX]?)$/;

export function braceFormatted(format: string, { positional, named }: Arguments): string {
  if (/\{\d/.test(format) && /\{[!:}]/.test(format.replaceAll('{{', ''))) throw unsupported(); // numbered and not
  let next = 0;
  return format.replaceAll(
    /\{\{|\}\}|\{(\w*)(?:!([rs]))?(?::([^{}]*))?\}|[{}]/g,
    (whole, field: string | undefined, conversion: string | undefined, how: string | undefined) => {
      if (whole === '{{' || whole === '}}') return whole.charAt(0);
      if (whole === '{' || whole === '}') throw unsupported();
      const value = given(
        field === undefined || field === '' ? positional[next++] : /^\d+$/.test(field) ? positional[Number(field)] : named.get(field),
      );
      const shown = conversion === 'r' ? repr(value) : conversion === 's' ? str(value) : value;
      if (how === undefined || how === '') return str(shown);
      const { align, sign = '', zero, width, precision, type } = SPECIFICATION.exec(how)?.groups ?? {};
      const isText = typeof shown === 'string';
      if (zero === undefined || (zero !== '' && (isText || align !== '')) || (isText && sign !== '')) throw unsupported();
      return formatted(shown, {
        align: zero !== '' ? '=' : align === '<' || (align === '' && isText) ? '<' : '>',
        sign: sign.replace('-', ''),
        width: Number(width),
        precision: precision === undefined ? undefined : Number(precision),
        type: type !== undefined && type !== '' ? type : isText ? 's' : 'd',
      });
    },
  );
}

function formatted(value: Value, { align, sign, width, precision, type }: Specification): string {
  const isText = type === 's' && typeof value === 'string';
  const body = isText ? Array.from(value).slice(0, precision).join('') : digits(value, type, precision);
  const [, minus = '', unsigned = ''] = isText ? ['', '', body] : (/^(-?)([^]*)$/.exec(body) ?? []);
  const shown = isText ? '' : minus === '' ? sign : minus;
  const missing = Math.max(0, boundedCharacters(width) - Array.from(shown + unsigned).length);
  if (align === '=') return shown + '0'.repeat(missing) + unsigned;
  return align === '<' ? shown + unsigned + ' '.repeat(missing) : ' '.repeat(missing) + shown + unsigned;
}

function digits(value: Value, type: string, precision?: number): string {
  if (!isNumber(value) && /^[dxXfF]$/.test(type)) throw new Refusal(`a format of numbers is given a ${typeName(value)}`);
  if (isNumber(value) && /^[fF]$/.test(type)) return fixed(Number(numeric(value)), precision ?? 6);
  if (precision !== undefined || !/^[dxX]$/.test(type)) throw unsupported();
  const text = integer(value).toString(type === 'd' ? 10 : 16);
  return type === 'X' ? text.toUpperCase() : text;
}

/** With so many digits behind the point; an exact half goes to the even digit, which toFixed() rounds up. */
export function fixed(value: number, places: number): string {
  if (Math.abs(value) >= 1e21 || places > 50) throw unsupported();
  const rounded = (Object.is(value, -0) ? '-' : '') + value.toFixed(places);
  const [whole = '', fraction = ''] = value.toFixed(places + 50).split('.');
  if (!/^50*$/.test(fraction.slice(places)) || '02468'.includes(rounded.at(-1) ?? '')) return rounded;
  return places === 0 ? whole : `${whole}.${fraction.slice(0, places)}`;
}
