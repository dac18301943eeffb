/** Argo CD, the real one, installs the provider and keeps hosts and clusters as they stand in Git, while machines run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findPrograms } from '../env/binaries.ts';
import { type AnyObject, type Manifest, parseYAML } from '../env/client.ts';
import { must } from '../env/command.ts';
import { MANAGER } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { IMAGE } from '../env/kubelet/image.ts';
import { isRolledOut } from '../env/kubelet/kubelet.ts';
import { type Application, ArgoCD } from '../fixtures/argocd.ts';
import { Repository } from '../fixtures/git.ts';
import { type Management, startManagement } from '../fixtures/management.ts';
import { INFRASTRUCTURE, Objects } from '../fixtures/objects.ts';
import { commandsOf } from '../fixtures/page.ts';
import { cleanUpCommands, historic, historyOf, isReady } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('argocd');
const checkout = join(import.meta.dirname, '../..');
const PROVIDER = 'cluster-api-provider-remote';
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: MANAGER.namespace, name: PROVIDER };
const DEFINITION = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' };
/** In the namespace that the Applications name. */
const objects = new Objects('default');
const machines = { apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', namespace: objects.namespace };
const entries = { ...machines, kind: 'PooledRemoteMachine' };

let management: Management;
let argocd: ArgoCD;
/** A copy of the project. */
let project: Repository;
let fleet: Repository;
let hosts: Host[];
let kubectl: string;

beforeAll(async () => {
  const suite = environment();
  const { run } = suite.state;
  [management, hosts, project, fleet] = await Promise.all([
    startManagement(suite, { alsoNamed: [`registry.example/${IMAGE}`] }),
    suite.createHosts(3),
    Repository.create(join(run.folder, 'argocd-project')),
    Repository.create(join(run.folder, 'argocd-fleet')),
  ]);
  ({ kubectl } = await findPrograms(['kubectl'], () => undefined));
  for (const part of ['manifests', 'charts']) await project.copy(checkout, part);
  for (const file of ['kustomize', 'helm', 'fleet'])
    await project.edit(`manifests/argocd/${file}.yaml`, (text) =>
      text.replaceAll(`https://git.example/${PROVIDER}.git`, project.url).replaceAll('https://git.example/fleet.git', fleet.url),
    );
  argocd = await ArgoCD.start(run, management);
});
afterAll(async () => {
  // Without it, what began before it would stay.
  await (argocd as ArgoCD | undefined)?.stop();
  await management.stop();
});

/** Runs the one command of docs/argocd.md under a heading that has this in it. */
async function follow(heading: string, part: string): Promise<void> {
  const [command, ...more] = (await commandsOf('argocd.md', heading, ['kubectl'])).filter((line) => line.includes(part));
  if (command === undefined || more.length > 0) throw new Error(`docs/argocd.md has not one command with ${part} under ${heading}`);
  await must('sh', ['-c', command.replace(/^kubectl/, kubectl)], { cwd: project.folder, env: management.env });
}

/** Follows the page from the Application on, and says how long it took until the manager that it brought was ready. */
async function install(way: 'kustomize', revision: string): Promise<Application> {
  const start = performance.now();
  const since = (): string => ((performance.now() - start) / 1000).toFixed(1);
  await follow('Install', `${way}.yaml`);
  const synced = await argocd.waitForSynced(PROVIDER, revision);
  const seconds = since();
  await management.client.waitFor(deployment, isRolledOut);
  process.stdout.write(`${way}: synced ${seconds} s, manager ready ${since()} s after the Application was applied\n`);
  await follow('Install', ' wait ');
  return synced;
}

async function commit(repository: Repository, message: string, ...applications: string[]): Promise<string> {
  const revision = await repository.commit(message);
  await argocd.refresh(...applications);
  return revision;
}

async function containerNow(): Promise<{ args: string[] }> {
  const { spec } = await management.client.get(deployment);
  return (spec as { template: { spec: { containers: [{ args: string[] }] } } }).template.spec.containers[0];
}

/** Someone changes the Deployment by hand, and it becomes again what it was. */
async function expectHealed(): Promise<void> {
  const { spec } = await management.client.get(deployment);
  const container = { ...(await containerNow()), args: ['--leader-elect', '--v=9'] };
  const { metadata } = await management.client.patch(deployment, {
    spec: { replicas: 2, template: { spec: { containers: [container] } } },
  });
  await management.client.waitFor(deployment, (now) => now.metadata.generation !== metadata.generation);
  await management.client.waitFor(deployment, (now) => JSON.stringify(now.spec) === JSON.stringify(spec) && isRolledOut(now));
}

/** Without an order among the hosts: how often each ran something and was cleaned. */
const historiesNow = () => Promise.all(hosts.map(historyOf));
const versionOf = ({ metadata }: AnyObject): string | undefined => metadata.resourceVersion;
const uidsNow = async () => (await management.client.list(machines)).map(({ metadata }) => metadata.uid);
const definitionsNow = async () => (await management.client.list(DEFINITION)).map(({ metadata }) => metadata.uid);

describe('the kustomize way', () => {
  test('health checks are added to the settings that are there', async () => {
    const settings = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'argocd', name: 'argocd-cm' };
    const before = await management.client.get(settings);
    await follow('Install', 'manifests/argocd/health');
    const { data = {}, metadata } = await management.client.get(settings);
    expect(data).toMatchObject(before.data ?? {});
    expect(Object.keys(data)).toHaveLength(Object.keys(before.data ?? {}).length + 3);
    expect(metadata.labels).toMatchObject(before.metadata.labels ?? {});
  });

  test('synced and healthy, the kinds in a wave before the rest', async () => {
    const { status } = await install('kustomize', await project.commit('Begin'));
    const first = status?.resources?.filter(({ syncWave }) => syncWave === -1).map(({ kind }) => kind);
    expect(new Set(first)).toEqual(new Set(['CustomResourceDefinition', 'Namespace']));
    expect(first).toHaveLength(6);
  });
});

const entry = (index: number, pool: string): Manifest => ({
  ...objects.entry(`remote-test-${index}`, pool, hosts[index] as Host, { cleanUpCommands }),
  // As the samples have it.
  apiVersion: 'infrastructure.cluster.x-k8s.io/v1beta1',
});
const workers = (replicas: number): Manifest =>
  objects.machineDeployment('workers', 'pooled', { template: 'workers', dataSecretName: 'workers', replicas });

async function writeFleet(): Promise<void> {
  const key = objects.sshKey('pool-key', hosts[0] as Host);
  const early = { 'argocd.argoproj.io/sync-wave': '-1' };
  await fleet.write('hosts/key.yaml', { ...key, metadata: { ...key.metadata, annotations: early } });
  for (const index of [0, 1]) await fleet.write(`hosts/remote-test-${index}.yaml`, entry(index, 'default'));
  await fleet.write('hosts/remote-test-2.yaml', entry(2, 'single'));
  await fleet.write('clusters/cluster.yaml', ...objects.cluster('pooled'), objects.template('workers', { pool: 'default' }));
  await fleet.write('clusters/workers.yaml', workers(2));
  const single = objects.machine('single', 'pooled', { bootstrap: { dataSecretName: 'workers' } });
  await fleet.write('clusters/single.yaml', objects.remoteMachine('single', { pool: 'single' }), single);
  // Its spec is null.
  const sample = parseYAML(await readFile(join(checkout, 'manifests/samples/explicit-machine.yaml'), 'utf8'));
  await fleet.write('clusters/sample.yaml', ...sample.filter(({ kind }) => kind === 'RemoteCluster'));
}

describe('hosts and clusters in Git', () => {
  let revision: string;

  test('machines are bootstrapped, and hosts are healthy by the checks', async () => {
    await writeFleet();
    await management.client.apply(objects.bootstrapData('workers', historic()));
    revision = await fleet.commit('Begin');
    await follow('Hosts and clusters', 'fleet.yaml');
    await management.client.waitForAll(machines, (found) => found.length === 3 && found.every(isReady));
    await argocd.waitForSynced('hosts', revision, 'Healthy');
    const { status } = await argocd.waitForSynced('clusters', revision);
    const own = status?.resources?.filter(({ kind }) => ['RemoteMachine', 'RemoteCluster'].includes(kind));
    expect(own?.map(({ health }) => health?.status)).toEqual(['Healthy', 'Healthy', 'Healthy']);
  });

  test('what is Argo CD’s stays with the entry', async () => {
    const marked = (object: { metadata: { annotations?: Record<string, string> } }) =>
      Object.keys(object.metadata.annotations ?? {}).some((key) => key.startsWith('argocd.argoproj.io/'));
    const [single, ...made] = await management.client.list(machines);
    expect(single && marked(single)).toBe(true);
    expect(made.map(marked)).toEqual([false, false]);
    expect((await management.client.list(entries)).map(marked)).toEqual([true, true, true]);
  });

  test('a paused entry is suspended, and an operator’s annotation is nobody’s business', async () => {
    const ref = objects.ref('PooledRemoteMachine', 'remote-test-0');
    const pause = (value: string | null) =>
      management.client.patch(ref, { metadata: { annotations: { 'cluster.x-k8s.io/paused': value } } });
    await pause('');
    await argocd.waitForSynced('hosts', revision, 'Suspended');
    await pause(null);
    await argocd.waitForSynced('hosts', revision, 'Healthy');
  });

  test('nothing is out of step while machines go and come', async () => {
    const applications = await Promise.all([PROVIDER, 'hosts', 'clusters'].map((name) => argocd.get(name)));
    const deployed = objects.clusterRef('MachineDeployment', 'workers');
    const versions = async () => [await management.client.get(deployed), ...(await management.client.list(entries))].map(versionOf);
    const before = await versions();
    const states = await argocd.statesDuring(async () => {
      const gone = (await management.client.list(machines)).find(({ metadata }) => metadata.name !== 'single')?.metadata.name ?? '';
      await management.client.delete(objects.clusterRef('Machine', gone));
      await management.client.waitForGone({ ...machines, name: gone });
      await management.client.waitForAll(machines, (found) => found.length === 3 && found.every(isReady));
    });
    // Cluster API wrote to the MachineDeployment, and the operator to one entry.
    const after = await versions();
    expect(after.map((version, index) => version !== before[index]).filter(Boolean)).toHaveLength(2);
    expect(states.filter(({ status }) => status?.sync?.status !== 'Synced')).toEqual([]);
    for (const { metadata, status } of states) {
      const known = applications.find((application) => application.metadata.name === metadata.name);
      expect(status?.operationState?.startedAt).toBe(known?.status?.operationState?.startedAt);
    }
    expect((await historiesNow()).flat().filter((line) => line === 'clean')).toHaveLength(1);
  });
});

describe('the provider in Git, with machines that run', () => {
  test('a new commit is followed', async () => {
    await project.edit('manifests/manager/deployment.yaml', (text) =>
      text.replace('[--leader-elect]', '[--leader-elect, --concurrency=20]'),
    );
    await argocd.waitForSynced(PROVIDER, await commit(project, 'Work on more at once', PROVIDER), 'Healthy');
    await management.client.waitFor(deployment, isRolledOut);
    expect((await containerNow()).args).toContain('--concurrency=20');
  });

  test('what someone changes by hand is put right', expectHealed);

  test('deleting the Application disturbs no machine', async () => {
    const before = [await definitionsNow(), await uidsNow(), await historiesNow()];
    await follow('Uninstall', `delete application ${PROVIDER}`);
    expect(await management.client.find(deployment)).toBeUndefined();
    expect([await definitionsNow(), await uidsNow(), await historiesNow()]).toEqual(before);
  });
});
