/** How suites read what programs render. */
import { parseYAML } from './client.ts';

describe('parseYAML', () => {
  test('empty documents are left out', () => {
    expect(parseYAML('---\n# nothing\n---\nkind: A\n---\nkind: B\n').map(({ kind }) => kind)).toEqual(['A', 'B']);
  });

  test.each([
    ['a key that is there twice', 'kind: A\n---\nkind: B\nmetadata:\n  name: b\n  name: c\n', 'Map keys must be unique'],
    ['an indentation that is none', 'metadata:\n  labels:\n    a: b\n   c: d\n', 'All mapping items must start at the same column'],
  ])('%s is an error', (_, text, message) => {
    expect(() => parseYAML(text)).toThrow(message);
  });
});
