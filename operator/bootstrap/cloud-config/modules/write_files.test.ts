import fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import { BootstrapDataError } from '../../plan.ts';
import { filesOf, planOf, refusalOf } from '../testing.ts';

const entry = (fields: string) => filesOf(`write_files:\n- {path: /x, ${fields}}`)[0];
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

const ENCODERS: Record<string, (bytes: Uint8Array) => string> = {
  b64: base64,
  base64,
  ' Base64 ': base64,
  'gz+base64': (bytes) => base64(gzipSync(bytes)),
  'gzip+base64': (bytes) => base64(gzipSync(bytes)),
  'gz+b64': (bytes) => base64(gzipSync(bytes)),
  'gzip+b64': (bytes) => base64(gzipSync(bytes)),
};

test.each(Object.keys(ENCODERS))('any bytes come back from %j', (encoding) => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const content = ENCODERS[encoding]?.(bytes) ?? '';
      expect(entry(`encoding: '${encoding}', content: '${content}'`)?.content).toEqual(new Uint8Array(bytes));
    }),
    { numRuns: 50 },
  );
});

test.each(['plain', 'text/plain', "''", 'null'])('%s is no encoding', (encoding) => {
  expect(entry(`encoding: ${encoding}, content: aGk=`)?.content).toEqual(new Uint8Array(Buffer.from('aGk=')));
});

test.each(['gz', 'gzip'])('%s of a binary value', (encoding) => {
  expect(entry(`encoding: ${encoding}, content: !!binary ${base64(gzipSync('hi'))}`)?.content).toEqual(new Uint8Array([0x68, 0x69]));
});

test('any text comes back without an encoding', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
      (text) => {
        expect(Buffer.from(entry(`content: ${JSON.stringify(text)}`)?.content ?? []).toString()).toBe(text);
      },
    ),
  );
});

test('broken lines and foreign characters in base64, as Python reads it', () => {
  expect(
    Buffer.from(filesOf('write_files:\n- path: /x\n  encoding: b64\n  content: |\n    aGVs\n    bG8-*=\n')[0]?.content ?? []).toString(),
  ).toBe('hello');
});

test.each([
  ["permissions: '0600'", 0o600],
  ['permissions: "755"', 0o755],
  ["permissions: '0o640'", 0o640],
  ['permissions: 0644', 0o644],
  ['permissions: 644', 0o1204],
  ['permissions: null', 0o644],
  ['content: x', 0o644],
])('%s is the mode %o', (fields, mode) => expect(entry(fields)?.mode).toBe(mode));

test('permissions as a number are told', () => {
  expect(planOf("write_files:\n- {path: /a, permissions: '0644'}\n- {path: /b, permissions: 644}").findings).toEqual([
    'PermissionsNumber write_files[1].permissions',
  ]);
});

test.each([
  ['owner: root', 'root'],
  ['owner: "root:root"', 'root:root'],
  ['owner: " a : b "', 'a:b'],
  ['owner: ":b"', ':b'],
  ['owner: "a:"', 'a'],
  ['owner: "-1:none"', undefined],
  ['owner: ""', undefined],
])('%s', (fields, owner) => expect(entry(fields)?.owner).toBe(owner));

test.each(['owner: ""', 'owner:', 'owner: ":none"'])('of a file that is there, %s changes no owner', (fields) =>
  expect(entry(fields)?.keep).toEqual({ mode: false, owner: true }),
);
test('without the key it does', () => expect(entry('append: true')?.keep).toBeUndefined());

test.each([
  ['/a/../b', '/b'],
  ['relative', '/relative'],
  ['/trailing/', '/trailing'],
])('the path %s is %s', (path, absolute) => expect(filesOf(`write_files: [{path: ${path}}]`)[0]?.path).toBe(absolute));

test('deferred files come after users; no content is an empty file; append', () => {
  const { steps } = planOf('write_files:\n- {path: /late, defer: true}\n- {path: /early, append: yes}\nusers: [bob]\nruncmd: [ls]\n');
  expect(steps.map((step) => step.name)).toEqual(['write_files[1] /early', 'users[0] bob', 'write_files[0] /late', 'runcmd[0]']);
  expect(steps[0]).toMatchObject({ content: new Uint8Array(), append: true });
});

test.each([
  ['- content: x', 'write_files[0].path (line 2): is missing'],
  ["- path: ''", 'write_files[0].path (line 2): is not the path of a file'],
  ['- {path: /x, content: 1}', 'write_files[0].content (line 2): expected a string; quote it'],
  ['- {path: /x, encoding: b64, content: a}', 'write_files[0].content (line 2): is not complete base64'],
  ['- {path: /x, encoding: b64, content: aaa}', 'write_files[0].content (line 2): is not complete base64'],
  ['- {path: /x, encoding: gz+b64, content: aGk=}', 'write_files[0].content (line 2): is not gzip data'],
  ['- {path: /x, encoding: rot13}', 'write_files[0].encoding (line 2): is not an encoding'],
  ["- {path: /x, permissions: '0999'}", "write_files[0].permissions (line 2): is not an octal number between '0000' and '7777'"],
  ['- {path: /x, permissions: 99999}', 'write_files[0].permissions (line 2): is not an octal number'],
  ['- {path: /x, owner: "a b"}', "write_files[0].owner (line 2): is not 'user' or 'user:group'"],
  ['- {path: /x, source: {uri: "https://x"}}', 'write_files[0].source (line 2): this key is not supported'],
  ['- {path: "/x\\0"}', 'write_files[0].path (line 2): holds a NUL character'],
  ['  x: 1', 'write_files (line 1): expected a list'],
])('%s is refused', (yaml, message) => expect(refusalOf(`write_files:\n${yaml}`)).toContain(message));

test('bombs are refused before they are blown up, one by one and all together', () => {
  const file = (size: number) => `- {path: /x, encoding: gz+b64, content: ${base64(gzipSync(new Uint8Array(size)))}}\n`;
  for (const files of [file(9 << 20), file(7 << 20).repeat(5)]) {
    let error: unknown;
    try {
      planOf(`write_files:\n${files}`);
    } catch (caught) {
      error = caught;
    }
    expect((error as BootstrapDataError).reason).toBe('BootstrapDataTooLarge');
  }
});
