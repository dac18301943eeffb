import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withAbsoluteLinks } from './links.ts';
import { project, root, tag } from './version.ts';

const base = 'https://git.example/remote/blob/v1.0.0';

test.each([
  ['[one](../../docs/pools.md)', `[one](${base}/docs/pools.md)`],
  ['[two](b.md#there) and [three](./c/d.md)', `[two](${base}/charts/x/b.md#there) and [three](${base}/charts/x/c/d.md)`],
  ['![a picture](../picture.svg)', `![a picture](${base}/charts/picture.svg)`],
])('%s', (text, absolute) => {
  expect(withAbsoluteLinks(text, 'charts/x/README.md', base)).toBe(absolute);
});

test.each(['[out](https://example.com/a)', '[mail](mailto:a@example.com)', '[here](#values)', '(a/b) and [c]'])('%s stays', (text) => {
  expect(withAbsoluteLinks(text, 'README.md', base)).toBe(text);
});

test('those of the chart lead to what is there', () => {
  const page = `charts/${project.name}/README.md`;
  const absolute = withAbsoluteLinks(readFileSync(join(root, page), 'utf8'), page, `https://git.example/remote/blob/${tag}`);
  const targets = [...absolute.matchAll(/\]\(([^)]*)\)/g)].map(([, target = '']) => target);
  expect(targets.length).toBeGreaterThan(3);
  const files = targets.map((target) => target.replace(`https://git.example/remote/blob/${tag}/`, '').replace(/#.*$/, ''));
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});
