import { BootstrapDataError } from '../plan.ts';
import { placeOf } from './located.ts';
import { parseYaml } from './parse.ts';
import { Float } from './scalars.ts';

const root = (text: string) => parseYaml(text).root?.value as Record<string, unknown> | undefined;
const value = (text: string) => root(text)?.['a'];
function message(text: string): string {
  try {
    parseYaml(text);
  } catch (error) {
    if (error instanceof BootstrapDataError && error.reason === 'BootstrapDataInvalid') return error.message;
    throw error;
  }
  throw new Error('not refused');
}

test.each<[string, unknown]>([
  ['yes', true],
  ['Off', false],
  ['y', 'y'],
  ['n', 'n'],
  ['~', null],
  ['', null],
  ['0644', 420],
  ["'0644'", '0644'],
  ['0o644', '0o644'],
  ['644', 644],
  ['08', '08'],
  ['1_000', 1000],
  ['0x1F', 31],
  ['-0b11', -3],
  ['1:30', 90],
  ['1e3', '1e3'],
  ['1.5', new Float(1.5)],
  ['1.0', new Float(1)],
  ['12345678901234567890', 12345678901234567890n],
  ['2012-09-01', '2012-09-01'],
  ['!!str 1', '1'],
  ['!!python/unicode 1', '1'],
  ['!!binary aGk=', new Uint8Array([0x68, 0x69])],
  ['|\n  yes\n', 'yes\n'],
  ['[1, x]', [1, 'x']],
])('as PyYAML reads it: %s', (source, expected) => expect(value(`a: ${source}`)).toEqual(expected));

test.each([
  [new Float(1), '1.0'],
  [new Float(1.3), '1.3'],
  [new Float(-0), '-0.0'],
  [new Float(0), '0.0'],
  [new Float(0.0001), '0.0001'],
  [new Float(0.00001), '1e-05'],
  [new Float(-0.0000123), '-1.23e-05'],
  [new Float(1e-300), '1e-300'],
  [new Float(1234567890123456), '1234567890123456.0'],
  [new Float(1e16), '1e+16'],
  [new Float(1.5e20), '1.5e+20'],
  [new Float(-Infinity), '-inf'],
  [new Float(NaN), 'nan'],
])('%p as Python writes it', (number, written) => expect(String(number)).toBe(written));

test('merge keys: own keys win, then the first map', () => {
  const text = 'x: &x {k: 1, l: 2}\ny: &y {l: 3, m: 4}\na:\n  <<: [*x, *y]\n  k: 0\n';
  expect(value(text)).toEqual({ k: 0, l: 2, m: 4 });
});

test('lines of keys, items and of what is missing', () => {
  const document = parseYaml('#\na:\n  - b: 1\n    c: |\n      text\n  - d\nx: &x {y: 1}\nz:\n  - *x\n');
  expect(
    [['a'], ['a', 0], ['a', 0, 'c'], ['a', 1], ['a', 0, 'nothing'], ['z', 0], []].map(
      (path) => document.root && placeOf(document.root, path).line,
    ),
  ).toEqual([2, 3, 4, 6, 3, 9, 2]);
});

test('duplicate keys: the last counts, at every depth, and is told', () => {
  const document = parseYaml('a:\n  b: 1\n  b: 2\na: {b: 3}\n');
  expect(document.root?.value).toEqual({ a: { b: 3 } });
  expect(document.findings.map(({ path, line }) => [path, line])).toEqual([
    ['a.b', 3],
    ['a', 4],
  ]);
});

test('a second header is told, but for one in a text', () => {
  const lines = (text: string) => parseYaml(text).findings.map(({ reason, line }) => `${reason} ${line}`);
  expect(lines('#cloud-config\nruncmd: [a]\n#cloud-config\nbootcmd: [b]\n')).toEqual(['SecondHeader 3']);
  expect(lines('\n#cloud-config\n\n#cloud-config-archive\n#cloud-config\na: |\n  text\n#cloud-config\n')).toEqual([
    'SecondHeader 4',
    'SecondHeader 5',
    'SecondHeader 8',
  ]);
  expect(lines('#cloud-config\na: |\n  #cloud-config\n')).toEqual([]);
  expect(lines('#cloud-config\n{b: "x\n#cloud-config\n"}\n')).toEqual([]);
  expect(lines('#cloud-config\n# of #cloud-config\n#cloud-configured\na: b #cloud-config\n')).toEqual([]);
  expect(lines('#cloud-config\n#cloud-config\n')).toEqual(['SecondHeader 2']);
});

test.each([
  ['a: [1\nb: 2', 'line 2: is not valid YAML (bad indent)'],
  ['a: 1\n---\nb: 2', 'line 2: is not valid YAML (a second document begins)'],
  ['a: *x\nb: &x 1', 'line 1: an alias names an anchor that does not exist before it'],
  ['\na: !!python/object:os.system {}', 'line 2: a value has a tag that is not supported'],
  ['a: !secret x', 'line 1: a value has a tag that is not supported'],
  ['? [a]\n: 1', 'line 1: a list or a map cannot be a key'],
  ['a: {<<: 1}', 'line 1: a merge key (<<) names something that is not a map'],
  ['a: &a [*a]', 'line 1: lists and maps are nested more than 64 deep'],
  [`a: ${'['.repeat(70)}${']'.repeat(70)}`, 'line 1: lists and maps are nested more than 64 deep'],
])('%j is refused with its line', (text, expected) => expect(message(text)).toBe(expected));

test('aliases cannot multiply a small document', () => {
  const level = (name: string, of: string) => `${name}: &${name} [${Array(10).fill(`*${of}`).join(', ')}]\n`;
  const bomb = `a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n${level('b', 'a')}${level('c', 'b')}${level('d', 'c')}${level('e', 'd')}${level('f', 'e')}`;
  expect(message(bomb)).toContain('more than 100000 values');
});

test.each([
  ['values', (text: string) => `a: &a "${text}"\nb: [${Array(200).fill('*a').join(', ')}]\n`],
  ['keys', (text: string) => `a: &a "${text}"\nb: [${Array(200).fill('{? *a : 1}').join(', ')}]\n`],
  ['keys in what is merged', (text: string) => `a: &a [{"${text}": 1}]\nb:\n${'- {<<: *a}\n'.repeat(200)}`],
  ['what is merged', (text: string) => `a: &a {x: "${text}"}\nb:\n${'- {<<: *a}\n'.repeat(200)}`],
])('aliases of %s cannot multiply a long text', (_name, document) => {
  expect(root(document('x'.repeat(100)))).toBeDefined();
  expect(() => root(document('x'.repeat(50_000)))).toThrow('line 1: with the texts that aliases repeat the bootstrap data is too large');
});

test('__proto__ is a key like any other', () => {
  const parsed = root('__proto__: {polluted: yes}\n') ?? {};
  expect(Object.keys(parsed)).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});
