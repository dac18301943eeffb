/** What the pages' commands name is there: paths, targets of make, variables of clusterctl, values of the chart. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { type Fields, VALUES } from './chart/values.ts';

const root = path.join(__dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const filesIn = (folder: string, end: string): string[] =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(end))
    .map((name) => path.join(folder, name));
const CHART_PAGE = 'charts/cluster-api-provider-remote/README.md';
const pages = ['README.md', 'CONTRIBUTING.md', CHART_PAGE, ...filesIn('docs', '.md')];

/** Lines of code blocks and code spans; a line that ends in a backslash goes on in the next. */
function codeOf(page: string): string[] {
  const text = read(page).replaceAll(/\\\n\s*/g, '');
  const blocks = [...text.matchAll(/^ {4,}(\S.*)$/gm)].map(([, line = '']) => line);
  return [...blocks, ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)];
}
const code = pages.flatMap((page) => codeOf(page).map((line) => ({ page, line })));
/** Each page's matches of the first group. */
const named = (pattern: RegExp) => code.flatMap(({ page, line }) => [...line.matchAll(pattern)].map(([, name = '']) => ({ page, name })));

test('paths of manifests, charts and templates', () => {
  const found = named(/(?:^|\s)((?:manifests|charts|templates)\/[\w./-]+)/g);
  expect(found.length).toBeGreaterThan(15);
  expect(found.filter(({ name }) => !existsSync(path.join(root, name)))).toEqual([]);
  const built = named(/ -k (manifests\/\S+)/g);
  expect(built.length).toBeGreaterThan(5);
  expect(built.filter(({ name }) => !existsSync(path.join(root, name, 'kustomization.yaml')))).toEqual([]);
});

test('targets of make', () => {
  const targets = [...read('Makefile').matchAll(/^([a-z0-9-]+):.*##/gm)].map(([, target]) => target);
  const found = named(/(?:^|[\w"] )make ([a-z][a-z0-9-]*)/g);
  expect(found.length).toBeGreaterThan(10);
  expect(found.filter(({ name }) => !targets.includes(name))).toEqual([]);
});

test('versions: this one, and in the pages on upgrades the one after it', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const [major, minor, patch] = version.split('.').map(Number);
  const known = [version, `${major}.${minor}.${(patch ?? 0) + 1}`];
  const found = named(/(?:remote:|infrastructure-remote\/)v(\d+\.\d+\.\d+)/g);
  const configured = [...read('docs/clusterctl.md').matchAll(/infrastructure-remote\/v(\d+\.\d+\.\d+)\//g)];
  found.push(...configured.map(([, name = '']) => ({ page: 'docs/clusterctl.md', name })));
  expect(found.length).toBeGreaterThan(4);
  expect(found.filter(({ name }) => !known.includes(name))).toEqual([]);
});

test('make lint gives to ShellCheck what is a script of its own, and all of that', () => {
  const [, words = ''] = /shellcheck \$\$\(git ls-files (.*)\)/.exec(read('Makefile')) ?? [];
  const filesOf = (...pathspecs: string[]): string[] =>
    execFileSync('git', ['-c', `safe.directory=${root}`, '-C', root, 'ls-files', ...pathspecs], { encoding: 'utf8' })
      .trim()
      .split('\n');
  const checked = filesOf(...words.split(' ').map((word) => word.replaceAll("'", '')));
  // Parts of a script say which shell they are for.
  const scripts = filesOf('*.sh', '.ci').filter((file) => /^#(!| shellcheck shell=)/.test(read(file)));
  expect(scripts).toContain('operator/runner/runner.sh');
  // Bootstrap data of the corpus begins with a line of its own.
  expect(checked).toEqual(scripts);
});

test('variables of clusterctl', () => {
  const sources = [...filesIn('templates', '.yaml'), ...filesIn('manifests/clusterctl', '.yaml')].map(read).join('\n');
  const known = new Set([...sources.matchAll(/\$\{(CAPREMOTE_\w+)/g)].map(([, name]) => name));
  const found = [...read('docs/clusterctl.md').matchAll(/\bCAPREMOTE_\w+/g)].map(([name]) => name).filter((name) => name !== 'CAPREMOTE_');
  expect(found.length).toBeGreaterThan(5);
  expect(found.filter((name) => !known.has(name))).toEqual([]);
});

test('values of the chart', () => {
  const pathsOf = (fields: Fields, prefix = ''): string[] =>
    Object.entries(fields).flatMap(([name, field]) => [
      prefix + name,
      ...(field.kind === 'section' ? pathsOf(field.fields, `${prefix}${name}.`) : []),
    ]);
  const known = pathsOf(VALUES);
  const found = [
    ...named(/--set(?:-json)? ([\w.]+)=/g),
    ...named(/^((?:metrics|image|ssh|diagnostics|crds|policy|rbac|leaderElection)\.[\w.]+)/g),
  ].filter(({ page }) => !page.startsWith('docs/reference/'));
  expect(found.length).toBeGreaterThan(10);
  expect(found.filter(({ name }) => !known.includes(name.replace(/\.$/, '')))).toEqual([]);
});

test('the chart is installed from a checkout with an image that a cluster can have', () => {
  const installs = code.filter(({ line }) => /^helm (install|upgrade) .* charts\//.test(line));
  expect(new Set(installs.map(({ page }) => page))).toEqual(new Set([CHART_PAGE, 'docs/getting-started.md']));
  expect(installs.filter(({ line }) => !line.includes(' --set image.repository=registry.example/'))).toEqual([]);
});

test('what is removed part by part is all of default, the kinds at last', () => {
  const { resources } = parse(read('manifests/default/kustomization.yaml')) as { resources: string[] };
  const section = read('docs/getting-started.md')
    .split(/^## /m)
    .find((part) => part.startsWith('Remove\n'));
  const removed = [...(section ?? '').matchAll(/^ {4}kubectl delete .*-k manifests\/(\S+)$/gm)].map(([, base]) => `../${base}`);
  expect(removed.at(-1)).toBe('../crds');
  expect(removed.sort()).toEqual([...resources].sort());
});
