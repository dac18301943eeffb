/** What values of a template look like where they are written out: Python's str(), which Jinja calls, where the engine writes JSON. */
import type { Value } from './template-engine.ts';

/** Of a value that exists; a text as it is. */
export function asText(value: Value): string {
  return value.type === 'StringValue' ? String(value.value) : representation(value);
}

function representation(value: Value): string {
  const { type, value: inner } = value;
  if (type === 'UndefinedValue') return 'Undefined';
  if (type === 'NullValue') return 'None';
  if (inner === true) return 'True';
  if (inner === false) return 'False';
  if (typeof inner === 'string') return quoted(inner);
  if (inner instanceof Map) {
    const entries = [...(inner as Map<string, Value>)].map(([key, item]) => `${quoted(key)}: ${representation(item)}`);
    return `{${entries.join(', ')}}`;
  }
  if (!Array.isArray(inner)) return String(value); // numbers
  const items = inner.map((item) => representation(item as Value)).join(', ');
  if (type !== 'TupleValue') return `[${items}]`;
  return inner.length === 1 ? `(${items},)` : `(${items})`;
}

/** Python's repr() of a text. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replaceAll(/[\\\n\r\t]/g, (character) => ESCAPES[character] ?? character).replaceAll(quote, `\\${quote}`);
  return quote + inner + quote;
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
