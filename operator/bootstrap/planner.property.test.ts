import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { MODULES } from './cloud-config/modules/index.ts';
import { BootstrapDataError } from './plan.ts';
import { planBootstrap } from './planner.ts';
import { anyTemplate } from './template/testing/random.ts';
import { INSTANCE } from './template/testing/table.ts';

/** Documents of providers, and those that end-to-end tests hold against cloud-init and Ignition: MIME, archives and scripts among them. */
const CORPUS = join(__dirname, '../../e2e/corpus');
const documents = [join(__dirname, 'testdata'), CORPUS].flatMap((directory) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8')),
);

/** No name of a key or an account, so that nothing has a reason to show it. */
const SECRET = 's3cr3t of nobody!';

/** Whatever the data is: a plan, or the one error that says why not. */
function planOrRefusal(value: Uint8Array, format?: string): void {
  try {
    const plan = planBootstrap({ value, ...(format === undefined ? {} : { format }) }, INSTANCE);
    for (const step of plan.steps) expect(step.name).not.toBe('');
    expect(JSON.stringify(plan.findings)).not.toContain(SECRET);
    expect(structuredClone(plan)).toEqual(plan);
  } catch (error) {
    if (!(error instanceof BootstrapDataError)) throw error;
    // What the planner doesn't foresee is a fault of its own, although it gives it the right class.
    if (error.message.endsWith('it cannot be read')) throw error.cause;
    expect(JSON.stringify([error.message, error.findings])).not.toContain(SECRET);
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.message.length).toBeLessThan(10_000);
  }
}

test('random bytes, under any format and header', () => {
  const header = fc.constantFrom(
    ...['', '#cloud-config\n', '## template: jinja\n#cloud-config\n', '#!/bin/sh\n', '\x1f\x8b\x08', '#cloud-config-archive\n- '],
    ...[
      'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n',
      '{"ignition": {"version": "3.3.0"}, ',
      '#cloud-boothook\n',
    ],
  );
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 200 }), fc.option(fc.string(), { nil: undefined }), (start, bytes, format) =>
      planOrRefusal(Buffer.concat([Buffer.from(start, 'latin1'), bytes]), format),
    ),
    { numRuns: 300 },
  );
});

test('documents of providers with parts cut out, doubled, swapped and filled with the characters of YAML and Jinja', () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat({ max: 40 }),
    text: fc.oneof(
      fc.constantFrom(...[SECRET, `${SECRET}: `, `'${SECRET}`, `[${SECRET}, `, `{{ ${SECRET} }}`, `*${SECRET}`, `!!${SECRET} `]),
      fc.constantFrom('{{', '}}', '{%', '%}', '- ', ': ', '&a ', '*a', '<<: ', '|', '>', '"', "'", '[', '{', '\n', '\t', '!!x ', '#'),
      fc.string(),
    ),
  });
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.array(edit, { minLength: 1, maxLength: 5 }), (document, edits) => {
      const mutated = edits.reduce((text, { at, length, text: filling }) => {
        const start = Math.floor(at * text.length);
        return text.slice(0, start) + filling + text.slice(start + length);
      }, document);
      planOrRefusal(Buffer.from(mutated));
    }),
    { numRuns: 500 },
  );
});

test('templates of all that Jinja can do, most of them wrong', () => {
  const text = fc.oneof(
    anyTemplate,
    fc.tuple(anyTemplate, fc.nat(400)).map(([template, end]) => template.slice(0, end)),
  );
  fc.assert(
    fc.property(text, (template) => planOrRefusal(Buffer.from(`## template: jinja\n#cloud-config\n# ${SECRET} ${template}\n`))),
    { numRuns: 1000 },
  );
});

test('documents that end in the middle, as they are and packed', () => {
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), (document, part, packed) => {
      const whole = packed ? gzipSync(document) : Buffer.from(document);
      planOrRefusal(whole.subarray(0, Math.floor(part * whole.length)));
    }),
    { numRuns: 500 },
  );
});

test('packed documents with bytes that are wrong', () => {
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1 }), (document, edits) => {
      const packed = gzipSync(document);
      for (const [at, byte] of edits) packed[at % packed.length] = byte;
      planOrRefusal(packed);
    }),
    { numRuns: 300 },
  );
});

/** JSON of any shape, with keys of `keys` and values that look right for some of them. */
function anyValue(keys: string[], leaves: unknown[]): fc.Arbitrary<unknown> {
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.oneof(fc.string(), fc.constant(SECRET), fc.constantFrom(...leaves), fc.integer(), fc.boolean(), fc.constant(null), fc.double()),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
    ),
  })).value;
}

test('any value in an Ignition document', () => {
  const keys = new Set<string>();
  for (const text of documents.filter((document) => document.startsWith('{'))) {
    JSON.parse(
      text.replaceAll(/@\w+(?:\(.*?\))?@/g, 'x'),
      (key, value: unknown) => (key !== '' && Number.isNaN(Number(key)) && keys.add(key), value),
    );
  }
  expect([...keys]).toEqual(expect.arrayContaining(['source', 'verification', 'links', 'dropins', 'sshAuthorizedKeys']));
  const value = anyValue([...keys], ['/a', 'data:,a', 'data:;base64,YQ==', 'http://a/b', 'ext4', 'sha512-00', 'a.service', 420]);
  const version = fc.constantFrom('2.0.0', '2.3.0', '3.0.0', '3.3.0', '3.5.0', '9.9.9', '');
  fc.assert(
    fc.property(version, fc.dictionary(fc.constantFrom('storage', 'passwd', 'systemd', ...keys), value), (of, document) =>
      planOrRefusal(Buffer.from(JSON.stringify({ ...document, ignition: { version: of } }))),
    ),
    { numRuns: 2000 },
  );
});

test('any value under any key', () => {
  const keys = [...MODULES.flatMap((module) => Object.keys(module.keys)), 'phone_home', 'x'];
  // As they stand in the generated reference.
  const page = readFileSync(join(__dirname, '../../docs/reference/cloud-config.md'), 'utf8');
  const fields = [...new Set([...page.matchAll(/^\| `\S*\.(\w+)` /gm)].map(([, field = '']) => field))];
  expect(fields).toEqual(expect.arrayContaining(['path', 'ssh_authorized_keys', 'layout', 'condition']));
  const value = anyValue(fields, ['a', '/a', 'http://a/b', 'sdb', '10', 'ext4', 'reboot']);
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), value, { minKeys: 1 }), (document) =>
      planOrRefusal(Buffer.from(`#cloud-config\n${JSON.stringify(document)}`)),
    ),
    { numRuns: 2000 },
  );
});

test.each([
  ['flow lists', '['.repeat(50_000)],
  ['flow maps', '{a: '.repeat(50_000)],
  ['block lists', '- '.repeat(50_000)],
  ['complex keys', '? '.repeat(50_000)],
  ['keys', 'a:\n'.repeat(50_000)],
  ['open tags', '## template: jinja\n#cloud-config\n' + '{{ '.repeat(50_000)],
  ['open strings', '## template: jinja\n#cloud-config\n' + "{{ '".repeat(50_000)],
  ['open raw blocks', '## template: jinja\n#cloud-config\n' + '{% raw %}'.repeat(50_000)],
  ['lists of Ignition', '{"ignition": {"version": "3.3.0"}, "storage": ' + '['.repeat(50_000)],
  ['maps of Ignition', '{"ignition": {"version": "3.3.0"}, "storage": ' + '{"a": '.repeat(50_000) + '1' + '}'.repeat(50_001)],
  ['parts', 'Content-Type: multipart/mixed; boundary="b"\n\n' + '--b\n'.repeat(50_000)],
  [
    'parts of parts',
    'Content-Type: multipart/mixed; boundary="b"\n\n' + '--b\nContent-Type: multipart/mixed; boundary="b"\n\n'.repeat(10_000),
  ],
  ['archives', '#cloud-config-archive\n' + '- type: text/cloud-config\n  content: |\n    a: 1\n'.repeat(5_000)],
])('%s without end take seconds at most', (_, text) => {
  const start = performance.now();
  planOrRefusal(Buffer.from(text));
  expect(performance.now() - start).toBeLessThan(15_000);
});
