/** docs/support.md marks as run what suites are run with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterAPIFolder, otherClusterAPIs, requiredVersion, sources, versionOf } from './binaries.ts';

const checkout = join(import.meta.dirname, '../..');
const page = readFileSync(join(checkout, 'docs/support.md'), 'utf8');
/** The first two cells of the rows of a section. */
function rowsOf(heading: string): [string, string][] {
  const [, section = ''] = new RegExp(`^## ${heading}\n([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, 'm').exec(page) ?? [];
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| --'));
  return rows
    .slice(1)
    .map((row) => row.split('|').map((cell) => cell.trim()))
    .map(([, first = '', second = '']) => [first, second]);
}
const clusterAPIIn = (folder: string): string =>
  requiredVersion(readFileSync(join(sources, folder, 'go.mod'), 'utf8'), 'sigs.k8s.io/cluster-api');
/** Whatever CLUSTER_API_VERSION says meanwhile. */
const clusterAPI = clusterAPIIn('cluster-api');
const minorOf = (version: string): string => version.replace(/^v(\d+\.\d+)\..*$/, '$1');
const { devDependencies } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { devDependencies: { node: string } };

test.each([
  ['Cluster API', clusterAPI, ['1.11', '1.12', '1.13', '1.14']],
  ['Kubernetes', versionOf('kubernetes'), ['1.31', '1.32', '1.33', '1.34', '1.35', '1.36']],
])('%s %s is the only one that is marked with no word more: all suites are run with it', (heading, version, all) => {
  const rows = rowsOf(heading);
  expect(rows.map(([minor]) => minor)).toEqual(all);
  expect(rows.filter(([, run]) => /^v[\d.]+$/.test(run))).toEqual([[minorOf(version), version]]);
});

test('another Cluster API is marked by what its folder builds, with the suites that the workflow runs, or as not run yet', () => {
  const workflow = readFileSync(join(checkout, '.github/workflows/test.yaml'), 'utf8');
  const [, listed = ''] = /'(suites\/[^']*)'/.exec(workflow) ?? [];
  const suites = listed.split(' ').map((name) => name.replace('suites/', '').replace('.e2e', ''));
  expect(suites.length).toBeGreaterThan(5);
  const runs = new Map(rowsOf('Cluster API'));
  const [own, ...others] = [minorOf(clusterAPI), ...otherClusterAPIs().map((version) => version.slice(1))];
  for (const minor of others)
    expect([
      `${clusterAPIIn(`cluster-api-v${minor}`)} (${suites.join(', ')})`,
      `not yet: \`CLUSTER_API_VERSION=v${minor}\` builds it`,
    ]).toContain(runs.get(minor));
  expect([...runs].filter(([minor, run]) => run !== '' && ![own, ...others].includes(minor))).toEqual([]);
});

test('tools are those of the suites', () => {
  expect(rowsOf('Tools')).toEqual([
    ['clusterctl', clusterAPI],
    ['Helm', versionOf('helm')],
    ['Argo CD', versionOf('argocd')],
    ['Node.js', `v${devDependencies.node}`],
  ]);
});

test('another Cluster API is named by its minor, and another one that there is not is refused', () => {
  expect(clusterAPIFolder('')).toBe('cluster-api');
  for (const [, wanted] of page.matchAll(/CLUSTER_API_VERSION=(v[\d.]*\d)/g)) {
    expect(`v${minorOf(clusterAPIIn(clusterAPIFolder(wanted)))}`).toBe(wanted);
  }
  expect(() => clusterAPIFolder('v1.0')).toThrow('CLUSTER_API_VERSION=v1.0: it is v1.11 or v1.14, or not set');
});
