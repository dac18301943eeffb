import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { dataURL } from '../testing.ts';
import { contentOf, type Resource } from './resource.ts';

const read = (value: Resource | string): string => {
  const content = contentOf(typeof value === 'string' ? { source: value } : value);
  return content.kind === 'bytes' ? Buffer.from(content.bytes).toString('utf8') : content.url;
};
const sum = (algorithm: 'sha256' | 'sha512', text: string) => ({
  hash: `${algorithm}-${createHash(algorithm).update(text).digest('hex')}`,
});

test.each([
  ['', ''],
  ['data:,', ''],
  ['data:,hello%20world%0A', 'hello world\n'],
  ['data:,a+b', 'a+b'],
  ['data:,ä%C3%A4', 'ää'],
  ['data:text/plain;charset=utf-8;base64,aGk%3D', 'hi'],
  ['data:text/plain;x="a,b",c,d', 'c,d'],
  ['https://example.org/a', 'https://example.org/a'],
])('%s', (source, content) => expect(read(source)).toBe(content));

test('compression, and the hash of what was in it', () => {
  const source = dataURL(gzipSync('plain'));
  expect(read({ source, compression: 'gzip', verification: sum('sha256', 'plain') })).toBe('plain');
  expect(() => read({ source, compression: 'gzip', verification: sum('sha512', 'other') })).toThrow('the content has another hash');
  expect(read({ source: dataURL('x'), verification: sum('sha512', 'x') })).toBe('x');
});

test('what lies elsewhere keeps how it is to be read', () =>
  expect(
    contentOf({
      source: 'http://a/b',
      compression: 'gzip',
      verification: sum('sha256', ''),
      httpHeaders: [{ name: 'A', value: 'b: c' }, { name: 'B' }],
    }),
  ).toMatchObject({ kind: 'remote', gzip: true, hash: { algorithm: 'sha256' }, headers: ['A: b: c'] }));

test.each([
  ['data:nothing', 'is not a data URL'],
  ['data:;base64,a', 'is not complete base64'],
  ['data:;base64,a-_=', 'is not complete base64'],
  ['data:,%4', 'has a % that is not followed by two digits'],
  ['s3://bucket/key', 'a host here fetches http and https'],
  ['http://', 'is not a URL'],
  ['http://a/"b', 'is not a URL'],
])('%s is refused', (source, message) => expect(() => read(source)).toThrow(message));

test('other problems', () => {
  expect(() => read({ source: 'data:,x', compression: 'gzip' })).toThrow('is not gzip data');
  expect(() => read({ source: 'data:,x', httpHeaders: [{ name: 'A', value: 'b' }] })).toThrow('only a source of http or https takes them');
  expect(() => read({ source: dataURL(gzipSync(new Uint8Array(9 * 1024 * 1024))), compression: 'gzip' })).toThrow(
    'has more than the 8388608 bytes',
  );
});
