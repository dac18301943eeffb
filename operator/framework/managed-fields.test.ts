import fc from 'fast-check';
import { withoutManagedFields } from './managed-fields.ts';

const KEY = 'managedFields';
const strings = fc.string({ unit: fc.constantFrom(KEY, '"', '\\', '[', ']', ',', ':', `"${KEY}`, `"${KEY}":[`, 'é', '\n') });
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

const hasArray = (of: unknown): boolean => typeof of === 'object' && of !== null && (Array.isArray(of) || Object.values(of).some(hasArray));

/** By their meaning: what comes first, or has lists in it, is not the API server's. */
function expected(of: unknown): unknown {
  if (Array.isArray(of)) return of.map(expected);
  if (typeof of !== 'object' || of === null) return of;
  const isLeftOut = ([key, field]: [string, unknown], index: number) =>
    key === KEY && Array.isArray(field) && !field.some(hasArray) && index > 0;
  return Object.fromEntries(
    Object.entries(of)
      .filter((each, index) => !isLeftOut(each, index))
      .map(([key, field]) => [key, expected(field)]),
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
  // Of a kind of its own they come last, of any other in the order of the alphabet.
  for (const name of [{ name: 'a' }, {}]) {
    const text = (managed: object) => JSON.stringify({ items: [{ metadata: { labels: {}, ...managed, ...name }, spec: {} }] });
    expect(withoutManagedFields(text({ managedFields: [fields, fields] }))).toBe(text({}));
  }
});

test('what has none is the same text, and what is cut off is no JSON still', () => {
  for (const none of ['{"metadata":{"name":"a"}}', '{"b":1,"a\\"managedFields":[],"name":"a"}', '{"managedFields":"[],","name":"a"}'])
    expect(withoutManagedFields(none)).toBe(none);
  const whole = '{"metadata":{"labels":{},"managedFields":[{"manager":"a\\"b"}],"name":"a"}}';
  for (let length = 1; length < whole.length; length++)
    expect(() => void JSON.parse(withoutManagedFields(whole.slice(0, length)))).toThrow();
});

test('what does not match takes no longer', () => {
  const long = `,"managedFields":[${'{"a\\"b":{},"c":{"d":{}}},'.repeat(20_000)}`;
  for (const end of ['', '[', '"', '[],', '}']) expect(withoutManagedFields(long + end)).toBe(long + end);
});
