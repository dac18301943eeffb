import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODULES } from './cloud-config/modules/index.ts';
import { BootstrapDataError } from './plan.ts';
import { planBootstrap } from './planner.ts';

const directory = join(__dirname, 'testdata');
const documents = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));

/** No name of a key or an account, so that nothing has a reason to show it. */
const SECRET = 's3cr3t of nobody!';

/** Whatever the data is: a plan, or the one error that says why not. */
function planOrRefusal(value: Uint8Array, format?: string): void {
  try {
    const plan = planBootstrap({ value, ...(format === undefined ? {} : { format }) }, { hostname: 'h', instanceID: 'i' });
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
  const header = fc.constantFrom('', '#cloud-config\n', '## template: jinja\n#cloud-config\n', '#!/bin/sh\n', '\x1f\x8b\x08');
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

test('any value under any key', () => {
  const keys = [...MODULES.flatMap((module) => Object.keys(module.keys)), 'phone_home', 'x'];
  // As they stand in the generated reference.
  const page = readFileSync(join(__dirname, '../../docs/reference/cloud-config.md'), 'utf8');
  const fields = [...new Set([...page.matchAll(/^\| `\S*\.(\w+)` /gm)].map(([, field = '']) => field))];
  expect(fields).toEqual(expect.arrayContaining(['path', 'ssh_authorized_keys', 'layout', 'condition']));
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(
        fc.string(),
        fc.constant(SECRET),
        fc.constantFrom('a', '/a', 'http://a/b', 'sdb', '10', 'ext4', 'reboot'),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.double(),
      ),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...fields), tie('value'), { maxKeys: 4 }),
    ),
  }));
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
])('%s without end take seconds at most', (_, text) => {
  const start = performance.now();
  planOrRefusal(Buffer.from(text));
  expect(performance.now() - start).toBeLessThan(15_000);
});
