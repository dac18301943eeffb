import { boundedText, Refusal } from './refusal.ts';
import { repr } from './text.ts';
import { Dict, isNumber, Tuple, typeName, type Value } from './values.ts';

/** As Python's json.dumps() writes it with sorted keys, which Jinja asks for. */
export function json(value: Value, indent: number | undefined, depth = 0): string {
  const list = (open: string, items: string[], close: string) => {
    if (items.length === 0) return open + close;
    if (indent === undefined) return open + boundedText(items.join(', ')) + close;
    const margin = (level: number) => `\n${' '.repeat(Math.max(0, indent) * level)}`;
    return `${open}${margin(depth + 1)}${boundedText(items.join(`,${margin(depth + 1)}`))}${margin(depth)}${close}`;
  };
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (isNumber(value)) return repr(value);
  if (typeof value === 'string') return text(value);
  const items = value instanceof Tuple ? value.items : value;
  if (Array.isArray(items))
    return list(
      '[',
      (items as Value[]).map((item) => json(item, indent, depth + 1)),
      ']',
    );
  if (!(value instanceof Dict)) throw new Refusal(`tojson() of a ${typeName(value)}`);
  const entries = [...value.entries()].map(([key, item]) => {
    if (typeof key !== 'string') throw new Refusal('tojson() of a dict with a key that is no text');
    return [key, item] as const;
  });
  const sorted = entries.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return list(
    '{',
    sorted.map(([key, item]) => `${text(key)}: ${json(item, indent, depth + 1)}`),
    '}',
  );
}

const text = (value: string): string =>
  JSON.stringify(value).replaceAll(/[\x7f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
