import fc from 'fast-check';
import { withoutManagedFields } from './managed-fields.ts';

const KEY = 'managedFields';
const strings = fc.string({ unit: fc.constantFrom(KEY, '"', '\\', '[', ']', ',', ':', `"${KEY}":[`, 'é', '\n') });
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    strings,
    fc.integer(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constant(KEY), strings), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

/** By their meaning: what is left out, and what is left empty since it comes last. */
function expected(of: unknown): unknown {
  if (Array.isArray(of)) return of.map(expected);
  if (typeof of !== 'object' || of === null) return of;
  const entries = Object.entries(of);
  return Object.fromEntries(
    entries.flatMap(([key, field], index) => {
      if (key !== KEY || !Array.isArray(field)) return [[key, expected(field)]];
      return index === entries.length - 1 ? [[key, []]] : [];
    }),
  );
}

test('they go, and nothing else', () => {
  fc.assert(
    fc.property(value, (document) => {
      expect(JSON.parse(withoutManagedFields(JSON.stringify(document)))).toEqual(expected(document));
    }),
    { numRuns: 1000 },
  );
});

test('an object of the API server', () => {
  const fields = { manager: 'kubectl', fieldsV1: { 'f:status': { 'k:{"type":"Ready"}': { '.': {}, 'f:[': {} } } } };
  const text = JSON.stringify({ items: [{ metadata: { labels: {}, managedFields: [fields, fields], name: 'a' }, spec: {} }] });
  expect(withoutManagedFields(text)).toBe('{"items":[{"metadata":{"labels":{},"name":"a"},"spec":{}}]}');
});

test('what has none is the same text, and what is cut off is no JSON still', () => {
  const none = '{"metadata":{"name":"a"}}';
  expect(withoutManagedFields(none)).toBe(none);
  const whole = '{"metadata":{"managedFields":[{"manager":"a\\"b"}],"name":"a"}}';
  for (let length = 1; length < whole.length; length++)
    expect(() => void JSON.parse(withoutManagedFields(whole.slice(0, length)))).toThrow();
});
