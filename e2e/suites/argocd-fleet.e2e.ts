/** Argo CD, the real one, keeps hosts and clusters as they stand in Git, and takes away what is taken out of it: no host is lost. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnyObject, parseYAML } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import { entries, GitOps, machines, objects } from '../fixtures/gitops.ts';
import { type Entry, entryOf, isCleaned, isFree } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('argocd-fleet');
const isDeleted = ({ metadata }: AnyObject): boolean => metadata.deletionTimestamp !== undefined;

let git: GitOps;
/** Of the fleet, at last. */
let revision: string;

beforeAll(async () => {
  git = await GitOps.start(environment(), 3);
  await git.follow('Install', 'manifests/argocd/health');
  await git.install('kustomize', await git.project.commit('Begin'));
  await git.writeData();
});
// Nothing is there to stop where it could not be started.
afterAll(() => (git as GitOps | undefined)?.stop());

/** Two machines of a MachineDeployment, one of its own with a pool of its own, and the cluster of a sample. */
async function writeFleet(): Promise<void> {
  await git.writeFleet();
  await git.fleet.write('hosts/remote-test-2.yaml', git.entry(2, 'single'));
  await git.fleet.write('clusters/single.yaml', ...git.machine('single', 'single'));
  // Its spec is null.
  const sample = parseYAML(await readFile(join(import.meta.dirname, '../../manifests/samples/explicit-machine.yaml'), 'utf8'));
  await git.fleet.write('clusters/sample.yaml', ...sample.filter(({ kind }) => kind === 'RemoteCluster'));
}

const commit = async (message: string): Promise<void> => {
  revision = await git.commit(git.fleet, message, 'hosts', 'clusters');
};
const machineOf = async (entry: string): Promise<string> =>
  (await git.management.client.list(machines)).find((machine) => entryOf(machine) === entry)?.metadata.name ?? '';
/** Machines, and what was done on hosts. */
const running = async () => [await git.uids(machines), await git.histories()];

/** An entry that was taken out of Git: it is deleted and stays, and so does its machine. */
async function expectHeld(name: string): Promise<void> {
  await git.management.client.waitFor(objects.ref('PooledRemoteMachine', name), isDeleted);
  await git.argocd.waitFor(
    'hosts',
    ({ status }) =>
      status?.sync?.revision === revision && status.health?.status === 'Progressing' && status.operationState?.phase === 'Succeeded',
  );
}

test('machines are bootstrapped, and hosts are healthy by the checks', async () => {
  await writeFleet();
  revision = await git.fleet.commit('Begin');
  await git.follow('Hosts and clusters', 'fleet.yaml');
  await git.waitForReady(3);
  await git.argocd.waitForSynced('hosts', revision, 'Healthy');
  await git.argocd.waitForSynced('clusters', revision);
  // It looks at machines that got ready a moment later.
  await git.argocd.waitFor('clusters', ({ status }) => {
    const own = status?.resources?.filter(({ kind }) => ['RemoteMachine', 'RemoteCluster'].includes(kind));
    return own?.map(({ health }) => health?.status).join() === 'Healthy,Healthy,Healthy';
  });
});

test('what is Argo CD’s stays with the entry', async () => {
  const { client } = git.management;
  const marked = (object: { metadata: { annotations?: Record<string, string> } }) =>
    Object.keys(object.metadata.annotations ?? {}).some((key) => key.startsWith('argocd.argoproj.io/'));
  const [single, ...made] = await client.list(machines);
  expect(single && marked(single)).toBe(true);
  expect(made.map(marked)).toEqual([false, false]);
  expect((await client.list(entries)).map(marked)).toEqual([true, true, true]);
});

test('a paused entry is suspended, and an operator’s annotation is nobody’s business', async () => {
  const ref = objects.ref('PooledRemoteMachine', 'remote-test-0');
  const pause = (value: string | null) =>
    git.management.client.patch(ref, { metadata: { annotations: { 'cluster.x-k8s.io/paused': value } } });
  await pause('');
  await git.argocd.waitForSynced('hosts', revision, 'Suspended');
  await pause(null);
  await git.argocd.waitForSynced('hosts', revision, 'Healthy');
});

describe('taken out of Git', () => {
  test('an entry that is in use stays until its machine is gone and its host clean', async () => {
    const { client } = git.management;
    const before = await running();
    await git.fleet.write('hosts/remote-test-1.yaml');
    await commit('Retire a host');
    await expectHeld('remote-test-1');
    expect(await running()).toEqual(before);

    const last = { annotations: { 'cluster.x-k8s.io/delete-machine': 'yes' } };
    await client.patch(objects.clusterRef('Machine', await machineOf('remote-test-1')), { metadata: last });
    await git.fleet.write('clusters/workers.yaml', git.workers(1));
    await commit('Retire its machine');
    await client.waitForGone(objects.ref('PooledRemoteMachine', 'remote-test-1'));
    expect(await isCleaned(git.hosts[1] as Host)).toBe(true);
    await git.argocd.waitForSynced('hosts', revision, 'Healthy');
    expect(await client.list(machines)).toHaveLength(2);
  });

  test('a pool stays with a machine that has an owner, and both go once that is deleted by hand', async () => {
    const { client } = git.management;
    const before = await running();
    await git.fleet.write('hosts/remote-test-2.yaml');
    await git.fleet.write('clusters/single.yaml');
    await commit('Retire a pool and its machine');
    await expectHeld('remote-test-2');
    const { status } = await git.argocd.waitForSynced('clusters', revision);
    expect(status?.resources?.filter(({ kind }) => kind === 'Machine')).toEqual([]);
    expect(await running()).toEqual(before);

    await git.follow('Taking things out of Git', 'delete machine');
    await client.waitForGone(objects.ref('PooledRemoteMachine', 'remote-test-2'));
    expect(await isCleaned(git.hosts[2] as Host)).toBe(true);
    await git.argocd.waitForSynced('hosts', revision, 'Healthy');
  });

  test('a Cluster goes with its machines, and their hosts are free and clean', async () => {
    const { client } = git.management;
    await git.fleet.write('clusters/cluster.yaml');
    await git.fleet.write('clusters/workers.yaml');
    await commit('Retire a cluster');
    await client.waitForGone(objects.clusterRef('Cluster', 'pooled'));
    for (const kind of [machines, { ...machines, kind: 'RemoteMachineTemplate' }]) expect(await client.list(kind)).toEqual([]);
    expect(await isCleaned(git.hosts[0] as Host)).toBe(true);
    const left = await client.waitForAll<Entry>(entries, (found) => found.every(isFree));
    expect(left.map(({ metadata }) => metadata.name)).toEqual(['remote-test-0']);
    await git.argocd.waitForSynced('clusters', revision);
  });
});

test('what is put into Git again gets the same hosts', async () => {
  await writeFleet();
  await commit('Take all of it up again');
  await git.waitForReady(3);
  const names = (await git.management.client.list(machines)).map(entryOf).sort();
  expect(names).toEqual(['remote-test-0', 'remote-test-1', 'remote-test-2']);
  await git.argocd.waitForSynced('hosts', revision, 'Healthy');
  await git.argocd.waitForSynced('clusters', revision);
});

test('hosts and clusters go with their Applications, the hosts first, and each host is clean', async () => {
  const { client } = git.management;
  await client.delete(git.argocd.ref('hosts'));
  expect(await client.waitForAll<Entry>(entries, (found) => found.every(isDeleted))).toHaveLength(3);
  await git.follow('Uninstall', 'hosts clusters');
  for (const kind of [machines, entries, { ...machines, kind: 'RemoteCluster' }]) expect(await client.list(kind)).toEqual([]);
  expect(await client.find({ apiVersion: 'v1', kind: 'Secret', namespace: objects.namespace, name: 'pool-key' })).toBeUndefined();
  expect(await Promise.all(git.hosts.map(isCleaned))).toEqual([true, true, true]);
  for (const history of await git.histories()) expect(history.join(' ')).toMatch(/^run \S+ clean run \S+ clean$/);
});
