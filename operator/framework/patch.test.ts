import fc from 'fast-check';
import { mergePatch } from './patch.ts';
import { applyMergePatch } from './testing/storage.ts';

test.each([
  ['equal', { a: 1, b: { c: [1, { d: 2 }] } }, { a: 1, b: { c: [1, { d: 2 }] } }, undefined],
  ['a changed field', { a: 1, b: 2 }, { a: 1, b: 3 }, { b: 3 }],
  ['a removed field', { a: 1, b: { c: 1, d: 2 } }, { b: { c: 1 } }, { a: null, b: { d: null } }],
  ['an undefined field is a removed one', { a: 1 }, { a: undefined }, { a: null }],
  ['undefined and absent are equal', {}, { a: undefined }, undefined],
  ['null and absent are equal', { a: null }, {}, undefined],
  ['a list is replaced as a whole', { a: [1, 2] }, { a: [1, 2, 3] }, { a: [1, 2, 3] }],
  ['an added empty object', {}, { a: {} }, { a: {} }],
  ['a value becomes an object', { a: 1 }, { a: { b: { c: null, d: 1 } } }, { a: { b: { d: 1 } } }],
  ['an object becomes a list', { a: { b: 1 } }, { a: [] }, { a: [] }],
  ['the order of fields is nothing', { a: 1, b: [{ c: 1, d: 2 }] }, { b: [{ d: 2, c: 1 }], a: 1 }, undefined],
])('%s', (_, before, after, expected) => expect(mergePatch(before, after)).toEqual(expected));

/** Objects without null outside lists: merge patches cannot say it. */
const { fields } = fc.letrec<{ value: unknown; fields: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom('', 'x', 0, 1, true, false),
    fc.array(fc.constantFrom<unknown>(1, null, 'x', { a: null }), { maxLength: 3 }),
    tie('fields'),
  ),
  fields: fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__', 'toString'), tie('value'), { maxKeys: 4, noNullPrototype: true }),
}));

test('applying the patch to before gives after, and nothing is left to patch then', () => {
  fc.assert(
    fc.property(fields, fields, (before, after) => {
      const patch = mergePatch(before, after);
      const patched = patch === undefined ? before : (applyMergePatch(before, patch) as object);
      expect(JSON.parse(JSON.stringify(patched))).toEqual(JSON.parse(JSON.stringify(after)));
      expect(mergePatch(patched, after)).toBeUndefined();
    }),
    { numRuns: 2000 },
  );
});

test('every leaf of the patch is needed', () => {
  fc.assert(
    fc.property(fields, fields, (before, after) => {
      const patch = mergePatch(before, after) as Record<string, unknown> | undefined;
      for (const key of Object.keys(patch ?? {})) {
        const rest = Object.fromEntries(Object.entries(patch ?? {}).filter(([name]) => name !== key));
        expect(mergePatch(applyMergePatch(before, rest) as object, after)).toBeDefined();
      }
    }),
  );
});
