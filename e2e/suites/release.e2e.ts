/** The files of a release, as clusterctl reads them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KINDS } from '../../apis/generate/kinds.ts';
import { findPrograms } from '../env/binaries.ts';
import { type Manifest, parseYAML } from '../env/client.ts';
import { must, run } from '../env/command.ts';
import { Helm } from '../fixtures/helm.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('release');
const checkout = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string };
const SOURCE = 'https://git.example/remote';
const BILLS = ['amd64', 'arm64'].map((architecture) => `cluster-api-provider-remote-v${version}-${architecture}.sbom.cdx.json`);
const NAMESPACE = 'cluster-api-provider-remote-system';

let folder: string;
let config: string;
let clusterctl: string;
beforeAll(async () => {
  ({ clusterctl } = await findPrograms(['clusterctl'], () => undefined));
  const repository = join(environment().state.run.folder, 'repository');
  mkdirSync(repository, { recursive: true });
  const bills = join(environment().state.run.folder, 'bills');
  mkdirSync(bills);
  for (const name of BILLS) writeFileSync(join(bills, name), name);
  // A process of its own, as `make release` starts it.
  const options = JSON.stringify({ image: 'registry.example/remote', source: SOURCE, bills });
  const program = `import { writeRelease } from './release/main.ts'; process.stdout.write(await writeRelease(process.argv[1], ${options}));`;
  folder = await must(process.execPath, ['--input-type=module', '--eval', program, '--', repository], { cwd: checkout });
  config = join(repository, 'clusterctl.yaml');
  const url = `file://${folder}/infrastructure-components.yaml`;
  writeFileSync(config, JSON.stringify({ providers: [{ name: 'remote', type: 'InfrastructureProvider', url }] }));
});

const provider = ['--infrastructure', `remote:v${version}`];
async function generate(args: string[], variables: Record<string, string> = {}): Promise<Manifest[]> {
  const env = { ...process.env, CLUSTERCTL_DISABLE_VERSIONCHECK: 'true', ...variables };
  return parseYAML(await must(clusterctl, ['generate', ...args, '--config', config, ...provider], { env }));
}
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

test('is named by the version, and whole', async () => {
  expect(folder.endsWith(`/infrastructure-remote/v${version}`)).toBe(true);
  const files = readdirSync(folder);
  expect(files).toEqual(
    expect.arrayContaining([
      'infrastructure-components.yaml',
      'metadata.yaml',
      `cluster-api-provider-remote-${version}.tgz`,
      'sha256sums.txt',
      ...BILLS,
    ]),
  );
  expect((await run('sha256sum', ['--check', '--strict', 'sha256sums.txt'], { cwd: folder })).exitCode).toBe(0);
  expect(read('sha256sums.txt').trim().split('\n')).toHaveLength(files.length - 1);
  const crds = parseYAML(read('cluster-api-provider-remote-crds.yaml'));
  expect(crds.map(({ spec }) => (spec as { names: { kind: string } }).names.kind).sort()).toEqual(KINDS.map(({ kind }) => kind).sort());
});

test('its chart has the image of the release', async () => {
  const helm = await Helm.find(process.env, join(folder, '..', 'helm'));
  const objects = parseYAML(await helm.must('template', 'capr', join(folder, `cluster-api-provider-remote-${version}.tgz`)));
  const { spec } = objects.find(({ kind }) => kind === 'Deployment') as { spec: Deployment };
  expect(spec.template.spec.containers[0].image).toBe(`registry.example/remote:v${version}`);
});

test('its chart says where the project is, and its pages and alerts lead there', async () => {
  const helm = await Helm.find(process.env, join(folder, '..', 'helm'));
  const chart = join(folder, `cluster-api-provider-remote-${version}.tgz`);
  expect(parseYAML(await helm.must('show', 'chart', chart))).toMatchObject([{ home: SOURCE, sources: [SOURCE] }]);
  const targets = [...(await helm.must('show', 'readme', chart)).matchAll(/\]\(([^)]*)\)/g)].map(([, target]) => target);
  expect(targets).toContain(`${SOURCE}/blob/v${version}/docs/getting-started.md`);
  expect(targets.filter((target) => !target?.startsWith(`${SOURCE}/blob/v${version}/`))).toEqual([]);
  const [rule] = parseYAML(
    await helm.must('template', chart, '--set', 'metrics.prometheusRule.enabled=true', '--show-only', 'templates/metrics.yaml'),
  );
  const urls = [...JSON.stringify(rule).matchAll(/"runbook_url":"([^"]*)"/g)].map(([, url]) => url);
  expect(urls).toContain(`${SOURCE}/blob/v${version}/docs/runbooks/RemoteProviderWithoutLeader.md`);
  expect(urls.filter((url) => !url?.startsWith(`${SOURCE}/blob/v${version}/docs/runbooks/`))).toEqual([]);
});

test('its components keep the contract, with defaults for every variable', async () => {
  const objects = await generate(['provider']);
  expect(objects.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name)).toEqual([NAMESPACE]);
  for (const { kind, metadata } of objects) {
    expect(metadata.labels).toMatchObject({ 'cluster.x-k8s.io/provider': 'infrastructure-remote' });
    const clusterWide = metadata.namespace === undefined && !['Namespace', 'CustomResourceDefinition'].includes(kind);
    if (clusterWide) expect(metadata.name).toMatch(new RegExp(`^${NAMESPACE}-`));
    expect([undefined, NAMESPACE]).toContain(metadata.namespace);
  }
  const { spec } = objects.find(({ kind }) => kind === 'Deployment') as { spec: Deployment };
  expect(spec.replicas).toBe(1);
  const [{ name, image, args }] = spec.template.spec.containers;
  expect({ name, image }).toEqual({ name: 'manager', image: `registry.example/remote:v${version}` });
  expect(args).toEqual(expect.arrayContaining(['--leader-elect', '--namespace=*', '--watch-filter=*', '--bootstrap-timeout=1h', '--v=0']));
});

interface Deployment {
  replicas: number;
  template: { spec: { containers: [{ name: string; image: string; args: string[] }] } };
}

test('its variables are taken', async () => {
  const objects = await generate(['provider'], {
    CAPREMOTE_REPLICAS: '2',
    CAPREMOTE_WATCH_NAMESPACES: 'a,b',
    CAPREMOTE_LOG_VERBOSITY: '2',
  });
  const { spec } = objects.find(({ kind }) => kind === 'Deployment') as { spec: Deployment };
  expect(spec.replicas).toBe(2);
  expect(spec.template.spec.containers[0].args).toEqual(expect.arrayContaining(['--namespace=a,b', '--v=2']));
});

const endpoint = { CAPREMOTE_CONTROL_PLANE_ENDPOINT: '192.0.2.10' };
const hosts = { CAPREMOTE_CONTROL_PLANE_HOST: '192.0.2.11', CAPREMOTE_WORKER_HOST: 'worker.example', CAPREMOTE_SSH_KEY_SECRET: 'hosts' };

test('explicit hosts: the endpoint is the control plane’s host, unless another is named', async () => {
  const args = ['cluster', 'made', '--flavor', 'explicit', '--kubernetes-version', 'v1.34.4', '--target-namespace', 'default'];
  const endpointOf = async (variables: Record<string, string>) => {
    const objects = await generate(args, variables);
    return objects.find(({ kind }) => kind === 'RemoteCluster')?.spec;
  };
  expect(await endpointOf(hosts)).toEqual({ controlPlaneEndpoint: { host: '192.0.2.11', port: 6443 } });
  expect(await endpointOf({ ...hosts, ...endpoint })).toEqual({ controlPlaneEndpoint: { host: '192.0.2.10', port: 6443 } });
});
