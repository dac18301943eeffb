/** Argo CD, the real one, installs the provider in both ways and follows Git, while machines run that come out of Git, too. */
import type { AnyObject } from '../env/client.ts';
import { isRolledOut } from '../env/kubelet/kubelet.ts';
import { deployment, entries, GitOps, machines, objects, PROVIDER } from '../fixtures/gitops.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('argocd');
const DEFINITION = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' };

let git: GitOps;

beforeAll(async () => {
  git = await GitOps.start(environment(), 2);
});
// Nothing is there to stop where it could not be started.
afterAll(() => (git as GitOps | undefined)?.stop());

async function containerNow(): Promise<{ args: string[] }> {
  const { spec } = await git.management.client.get(deployment);
  return (spec as { template: { spec: { containers: [{ args: string[] }] } } }).template.spec.containers[0];
}

/** All that must stay whatever becomes of the provider: kinds, machines, and what was done on hosts. */
const kept = async () => [await git.uids(DEFINITION), await git.uids(machines), await git.histories()];
const versionOf = ({ metadata }: AnyObject): string | undefined => metadata.resourceVersion;

/** A manager with this flag runs as Git has it. */
async function expectFollowed(revision: string, flag: string): Promise<void> {
  await git.argocd.waitForSynced(PROVIDER, revision, 'Healthy');
  await git.management.client.waitFor(deployment, isRolledOut);
  expect((await containerNow()).args).toContain(flag);
}

/** Someone changes the Deployment by hand, and it becomes again what it was. */
async function expectHealed(): Promise<void> {
  const { client } = git.management;
  const { spec } = await client.get(deployment);
  const container = { ...(await containerNow()), args: ['--leader-elect', '--v=9'] };
  const { metadata } = await client.patch(deployment, { spec: { replicas: 2, template: { spec: { containers: [container] } } } });
  await client.waitFor(deployment, (now) => now.metadata.generation !== metadata.generation);
  await client.waitFor(deployment, (now) => JSON.stringify(now.spec) === JSON.stringify(spec) && isRolledOut(now));
}

/** Nothing turns OutOfSync, and no operation is begun, while a machine goes and another comes. */
async function expectInStep(): Promise<void> {
  const { client } = git.management;
  const applications = await Promise.all([PROVIDER, 'hosts', 'clusters'].map((name) => git.argocd.get(name)));
  const cleaned = async () => (await git.histories()).flat().filter((line) => line === 'clean').length;
  const written = async () => [await client.get(objects.clusterRef('MachineDeployment', 'workers')), ...(await client.list(entries))];
  const [before, count] = [(await written()).map(versionOf), await cleaned()];
  const states = await git.argocd.statesDuring(() => git.replaceWorker());
  // Cluster API wrote to the MachineDeployment, and the operator to one entry.
  expect((await written()).filter((object, index) => versionOf(object) !== before[index])).toHaveLength(2);
  expect(states.filter(({ status }) => status?.sync?.status !== 'Synced')).toEqual([]);
  const begun = ({ metadata, status }: (typeof states)[number]) => `${metadata.name} ${status?.operationState?.startedAt}`;
  expect(new Set(states.map(begun))).toEqual(new Set(applications.map(begun)));
  expect(await cleaned()).toBe(count + 1);
}

/** A commit that lacks kinds is followed, and they and all their objects are there. */
async function expectKindsKept(revision: string): Promise<void> {
  const before = await kept();
  await git.argocd.waitForSynced(PROVIDER, revision, 'Healthy');
  await git.argocd.statesDuring(() => Promise.resolve());
  expect(await kept()).toEqual(before);
}

async function expectUninstalled(): Promise<void> {
  const before = await kept();
  await git.follow('Uninstall', `delete application ${PROVIDER}`);
  expect(await git.management.client.find(deployment)).toBeUndefined();
  expect(await kept()).toEqual(before);
}

describe('the kustomize way', () => {
  test('health checks are added to the settings that are there', async () => {
    const { client } = git.management;
    const settings = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'argocd', name: 'argocd-cm' };
    const before = await client.get(settings);
    await git.follow('Install', 'manifests/argocd/health');
    const { data = {}, metadata } = await client.get(settings);
    expect(data).toMatchObject(before.data ?? {});
    expect(Object.keys(data)).toHaveLength(Object.keys(before.data ?? {}).length + 3);
    expect(metadata.labels).toMatchObject(before.metadata.labels ?? {});
  });

  test('synced and healthy, the kinds in a wave before the rest', async () => {
    const { status } = await git.install('kustomize', await git.project.commit('Begin'));
    const first = status?.resources?.filter(({ syncWave }) => syncWave === -1).map(({ kind }) => kind);
    expect(new Set(first)).toEqual(new Set(['CustomResourceDefinition', 'Namespace']));
    expect(first).toHaveLength(6);
  });

  test('machines of Git get hosts of Git', async () => {
    await git.writeFleet();
    await git.writeData();
    const revision = await git.fleet.commit('Begin');
    await git.follow('Hosts and clusters', 'fleet.yaml');
    await git.waitForReady(2);
    await git.argocd.waitForSynced('hosts', revision, 'Healthy');
    await git.argocd.waitForSynced('clusters', revision);
  });

  test('nothing is out of step while machines go and come', expectInStep);

  test('a new commit is followed', async () => {
    await git.project.edit('manifests/manager/deployment.yaml', (text) =>
      text.replace('[--leader-elect]', '[--leader-elect, --concurrency=20]'),
    );
    await expectFollowed(await git.commit(git.project, 'Work on more at once', PROVIDER), '--concurrency=20');
  });

  test('what someone changes by hand is put right', expectHealed);

  test('a kind that is taken out of Git stays', async () => {
    const file = 'manifests/crds/kustomization.yaml';
    await git.project.edit(file, (text) => text.replace(/.*_remotemachines.yaml\n/, ''));
    await expectKindsKept(await git.commit(git.project, 'Lose a kind', PROVIDER));
    await git.project.edit(file, (text) => `${text}  - infrastructure.cluster.x-k8s.io_remotemachines.yaml\n`);
    await git.argocd.waitForSynced(PROVIDER, await git.commit(git.project, 'Find it again', PROVIDER), 'Healthy');
  });

  test('deleting the Application disturbs no machine', expectUninstalled);
});

describe('the Helm way', () => {
  const values = 'charts/cluster-api-provider-remote/values.yaml';

  test('takes over: synced and healthy, and nothing ran again', async () => {
    const before = await kept();
    const { status } = await git.install('helm', await git.project.commit('Go on with Helm'));
    const first = status?.resources?.filter(({ syncWave }) => syncWave === -1).map(({ kind }) => kind);
    expect(first).toEqual(Array<string>(5).fill(DEFINITION.kind));
    expect(await kept()).toEqual(before);
  });

  test('nothing is out of step while machines go and come', expectInStep);

  test('a new commit is followed, and keeps the kinds that it lacks', async () => {
    await git.project.edit(values, (text) =>
      text.replace('concurrency: 10', 'concurrency: 20').replace(/(\ncrds:\n.*\n {2}enabled:) true/, '$1 false'),
    );
    await expectKindsKept(await git.commit(git.project, 'Work on more at once, and lose the kinds', PROVIDER));
    await git.project.edit(values, (text) => text.replace(/(\ncrds:\n.*\n {2}enabled:) false/, '$1 true'));
    await expectFollowed(await git.commit(git.project, 'Find them again', PROVIDER), '--concurrency=20');
  });

  test('what someone changes by hand is put right', expectHealed);

  test('deleting the Application disturbs no machine', expectUninstalled);
});
