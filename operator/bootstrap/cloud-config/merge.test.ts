import { BootstrapDataError } from '../plan.ts';
import type { Located } from './located.ts';
import { placeOf } from './located.ts';
import { mergeDocuments } from './merge.ts';
import { parseYaml } from './parse.ts';

function merged(first: string, second: string, mergeType = ''): Located {
  const documents = [first, second].map((text, index) => ({ root: parseYaml(text, `part-00${index + 1}`).root as Located, mergeType: '' }));
  documents[1] = { ...(documents[1] as (typeof documents)[number]), mergeType };
  return mergeDocuments(documents);
}

// What cloud-init's own mergers make of them.
test.each<[string, string, string, unknown]>([
  ['', 'a: [1]\nb: 1', 'a: [2]\nc: 3', { a: [2], b: 1, c: 3 }],
  ['', 'a: {x: 1}', 'a: {y: 2}', { a: { y: 2 } }],
  ['list(append)+dict(recurse_array)+str()', 'a: [1]', 'a: [2]', { a: [1, 2] }],
  ['list(append)+dict(recurse_array)+str()', 'a: [1]\nb: 1', 'b: 2', { a: [1], b: 1 }],
  ['list(prepend)+dict(recurse_list)+str()', 'a: [1]', 'a: [2]', { a: [2, 1] }],
  ['list(no_replace)+dict(recurse_list)+str()', 'a: [1, 2]', 'a: [3]', { a: [1, 2] }],
  ['list()+dict(recurse_list)+str()', 'a: [1, 2]', 'a: [3]', { a: [3, 2] }],
  ['list()+dict(recurse_list)+str()', 'a: [1]', 'a: [3, 4]', { a: [3] }],
  ['list(recurse_dict)+dict(recurse_list)+str()', 'a: [{x: 1}]', 'a: [{x: 2, y: 3}]', { a: [{ x: 1, y: 3 }] }],
  ['list()+dict(recurse_list)+str()', 'a: [1]', 'a: text', { a: [1] }],
  ['dict()', 'a: {x: 1}', 'a: {x: 2, y: 3}', { a: { x: 1, y: 3 } }],
  ['dict(replace)', 'a: {x: 1}', 'a: null', { a: null }],
  ['dict(replace,allow_delete)', 'a: {x: 1}\nb: 1', 'a: null', { b: 1 }],
  ['dict(recurse_str)+str(append)', 'a: one', 'a: " two"', { a: 'one two' }],
  ['dict(recurse_str)+str()', 'a: one', 'a: two', { a: 'two' }],
  ['list()', 'a: 1', 'b: 2', { a: 1 }],
  ['m_dict( replace )', 'a: 1', 'a: 2', { a: 2 }],
])('%s', (how, first, second, expected) => expect(merged(first, second, how).value).toEqual(expected));

test('how a document is merged may stand in it, and is no key of the outcome', () => {
  const second = 'merge_how: [{name: list, settings: [append]}, {name: dict, settings: [recurse-array, recurse_list]}]\na: [2]';
  expect(merged('a: [1]', second).value).toEqual({ a: [1, 2] });
  expect(merged('a: [1]', 'merge_type: [[list, append], [dict, recurse_list]]\na: [2]').value).toEqual({ a: [1, 2] });
  expect(merged("merge_how: 'list(append)'\na: [1]", 'b: 2').value).toEqual({ b: 2 });
});

test('values keep their places', () => {
  const document = merged('a: [1]\nb: 2', '#\n#\na: [2]', 'list(append)+dict(recurse_list)');
  expect([['a', 0], ['a', 1], ['b']].map((path) => placeOf(document, path))).toMatchObject([
    { part: 'part-001', line: 1 },
    { part: 'part-002', line: 3 },
    { part: 'part-001', line: 2 },
  ]);
});

test.each([
  ['list(append', 'a: 1', 'part-002, line 1: the way of merging is not like'],
  ['set(append)', 'a: 1', 'part-002, line 1: it is to be merged in a way that cloud-init does not have'],
  ['', 'x: 1\nmerge_how: 5', 'part-002, line 2: merge_how is neither a text nor a list'],
  ['', 'merge_how: [{name: list}]', 'part-002, line 1: merge_how has an item without a name or settings'],
  ['list(append)+dict(replace)', 'a: [1]', undefined],
  ['dict(recurse_str)+list(append)', 'a: x', 'part-002, line 1: it is to be merged with a list, and is none'],
  ['dict(recurse_list)+str(append)', 'b: [1]', 'part-002, line 1: it is to be appended to a text, and is none'],
])('%s of %j', (how, second, message) => {
  const merge = () => merged('a: [1]\nb: x', second, how);
  if (message === undefined) expect(merge).not.toThrow();
  else
    expect(merge).toThrow(
      expect.objectContaining({ message: expect.stringContaining(message) as string, constructor: BootstrapDataError }) as Error,
    );
});
