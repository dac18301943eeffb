/** What the pages name must exist: files, headings, reasons, annotations, npm scripts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CONDITION, FINDINGS, REASON } from '../infrastructure/conditions.ts';
import { ANNOTATION, GROUP, REQUEST } from '../infrastructure/group.ts';
import { KINDS } from './kinds.ts';

const root = path.join(__dirname, '../..');
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
];
const read = (page: string): string => readFileSync(path.join(root, page), 'utf8');

/** Anchors as GitHub makes them of headings. */
const anchors = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe.each(pages)('%s', (page) => {
  const text = read(page);

  test('links to files and headings that exist', () => {
    for (const [, target = ''] of text.replaceAll(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? page : path.join(path.dirname(page), file);
      expect({ target, exists: existsSync(path.join(root, linked)) }).toEqual({ target, exists: true });
      if (anchor !== undefined)
        expect({ target, headings: anchors(read(linked)) }).toEqual({ target, headings: expect.arrayContaining([anchor]) as string[] });
    }
  });

  test('names annotations that exist', () => {
    const known: string[] = [...Object.values(ANNOTATION), ...Object.values(REQUEST)];
    for (const [name] of text.matchAll(new RegExp(`${GROUP.replaceAll('.', '\\.')}/[a-z][a-z-]+`, 'g'))) {
      expect(known).toContain(name);
    }
  });

  test('uses npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const [, name = ''] of text.matchAll(/npm run ([a-z]+)/g)) expect(Object.keys(scripts)).toContain(name);
  });
});

test('troubleshooting speaks of reasons, conditions and kinds that exist', () => {
  const known = new Set<string>([
    ...Object.keys(REASON),
    ...Object.keys(FINDINGS),
    ...Object.keys(CONDITION),
    ...KINDS.map(({ kind }) => kind),
  ]);
  for (const [, name = ''] of read('docs/troubleshooting.md').matchAll(/`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)+)`/g))
    expect([...known]).toContain(name);
});

test('every test that is named as showing something exists', () => {
  const page = 'docs/protections.md';
  const named = [...read(page).matchAll(/\]\((\S+\.ts)\) "([^"]+)"/g)];
  const rows = read(page)
    .split('\n')
    .filter((line) => /^\| (?!---|What can)/.test(line));
  expect(rows.filter((row) => !named.some(([, , title = '']) => row.includes(`"${title}"`)))).toEqual([]);
  for (const [, file = '', title = ''] of named) {
    const source = read(path.join(path.dirname(page), file));
    const isThere = ["'", '"', '`'].some((mark) => source.includes(mark + title + mark));
    expect({ file, title, isThere }).toEqual({ file, title, isThere: true });
  }
});

test('every decision is numbered once, in its file and its title', () => {
  const numbers = readdirSync(path.join(root, 'docs/adr'))
    .sort()
    .map((file) => [Number(file.slice(0, 4)), Number(/^# (\d+)\. /.exec(read(`docs/adr/${file}`))?.[1])]);
  expect(numbers).toEqual(numbers.map((_pair, index) => [index + 1, index + 1]));
});
