/** A Cluster by ClusterClass: Cluster API's topology controller makes and changes objects of these kinds by server-side apply. */
import type { AnyObject, Manifest } from '../env/client.ts';
import { CLUSTER_API, INFRASTRUCTURE, Objects } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, isFree } from '../fixtures/pool.ts';
import type { Host } from '../env/hosts.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CONTROL_PLANE = 'controlplane.cluster.x-k8s.io/v1beta2';
const environment = sharedEnvironment('topology');
let objects: Objects;
let host: Host;

const object = (apiVersion: string, kind: string, name: string, spec: object): Manifest => ({
  apiVersion,
  kind,
  metadata: { namespace: objects.namespace, name },
  spec,
});
const ref = (apiVersion: string, kind: string, name: string) => ({ templateRef: { apiVersion, kind, name } });

/** Commands take the place of kubeadm: what matters here is that they run. */
const kubeadmConfigSpec = {
  initConfiguration: { nodeRegistration: { criSocket: 'unix:///run/containerd/containerd.sock' } },
  preKubeadmCommands: ['kubeadm() { echo "$*" >>/var/log/e2e-kubeadm; }'],
};

/** The user's endpoint and pool come in as variables, as in the classes of other providers. */
const clusterClass = () =>
  object(CLUSTER_API, 'ClusterClass', 'remote', {
    infrastructure: ref(INFRASTRUCTURE, 'RemoteClusterTemplate', 'remote'),
    controlPlane: {
      ...ref(CONTROL_PLANE, 'KubeadmControlPlaneTemplate', 'remote'),
      machineInfrastructure: ref(INFRASTRUCTURE, 'RemoteMachineTemplate', 'remote'),
    },
    variables: [
      { name: 'endpoint', required: true, schema: { openAPIV3Schema: { type: 'string' } } },
      { name: 'user', required: true, schema: { openAPIV3Schema: { type: 'string' } } },
    ],
    patches: [
      patch(
        'endpoint',
        'RemoteClusterTemplate',
        { infrastructureCluster: true },
        '/spec/template/spec/controlPlaneEndpoint/host',
        'endpoint',
      ),
      patch('user', 'RemoteMachineTemplate', { controlPlane: true }, '/spec/template/spec/user', 'user'),
    ],
  });

const patch = (name: string, kind: string, matchResources: object, path: string, variable: string) => ({
  name,
  definitions: [
    {
      selector: { apiVersion: INFRASTRUCTURE, kind, matchResources },
      jsonPatches: [{ op: 'add', path, valueFrom: { variable } }],
    },
  ],
});

const topology = (values: { user: string; labels: object }) =>
  object(CLUSTER_API, 'Cluster', 'classy', {
    topology: {
      classRef: { name: 'remote' },
      version: 'v1.34.4',
      controlPlane: { replicas: 1, metadata: { labels: values.labels } },
      variables: [
        { name: 'endpoint', value: '10.255.255.254' },
        { name: 'user', value: values.user },
      ],
    },
  });

beforeAll(async () => {
  const { client, namespace, createHost, startOperator } = environment();
  objects = new Objects(namespace);
  [host] = await Promise.all([createHost(), startOperator({ namespace, args: ['-v', '2'] })]);
  const metadata = { labels: { 'e2e/from': 'class' }, annotations: { 'e2e/note': 'class' } };
  await client.applyAll([
    objects.sshKey('pool-key', host),
    objects.entry('first', 'classy', host, { cleanUpCommands }),
    object(INFRASTRUCTURE, 'RemoteClusterTemplate', 'remote', {
      template: { metadata, spec: { controlPlaneEndpoint: { host: '192.0.2.1', port: 6443 } } },
    }),
    object(INFRASTRUCTURE, 'RemoteMachineTemplate', 'remote', { template: { metadata, spec: { pool: 'classy' } } }),
    object(CONTROL_PLANE, 'KubeadmControlPlaneTemplate', 'remote', { template: { spec: { kubeadmConfigSpec } } }),
    clusterClass(),
  ]);
  await client.waitForCondition({ apiVersion: CLUSTER_API, kind: 'ClusterClass', namespace, name: 'remote' }, 'VariablesReady');
  await client.apply(topology({ user: 'root', labels: { 'e2e/tier': 'one' } }));
});

const all = (kind: string) => ({ apiVersion: INFRASTRUCTURE, kind, namespace: objects.namespace });
const machines = () => all('RemoteMachine');

test('the RemoteCluster and the machine are made from the class, patched, and become ready', async () => {
  const { client } = environment();
  const isOwned = (one?: AnyObject) =>
    one?.metadata.ownerReferences?.some(({ kind, controller }) => kind === 'Cluster' && controller === true);
  const ready = ([one]: AnyObject[]) => conditionOf(one, 'Ready')?.status === 'True' && isOwned(one) === true;
  const [cluster] = await client.waitForAll(all('RemoteCluster'), ready);
  expect(cluster?.spec).toMatchObject({ controlPlaneEndpoint: { host: '10.255.255.254', port: 6443 } });
  const [machine] = await client.waitForAll(machines(), ([one]) => conditionOf(one, 'Ready')?.status === 'True', 90_000);
  expect(machine?.metadata.labels).toMatchObject({ 'e2e/tier': 'one', 'cluster.x-k8s.io/cluster-name': 'classy' });
  expect(machine?.spec).toMatchObject({ pool: 'classy', user: 'root', address: host.address });
  expect(await host.readFile('/var/log/e2e-kubeadm')).toMatch(/^init --config/);
});

test('a changed label reaches the machine in place: nothing is made anew, and the host is left alone', async () => {
  const { client } = environment();
  const [before] = await client.list(machines());
  const templates = (await client.list(all('RemoteMachineTemplate'))).map(({ metadata }) => metadata.name);
  await client.apply(topology({ user: 'root', labels: { 'e2e/tier': 'two' } }));
  const [after] = await client.waitForAll(machines(), ([one]) => one?.metadata.labels?.['e2e/tier'] === 'two');
  expect(after?.metadata.uid).toBe(before?.metadata.uid);
  expect(after?.metadata.annotations).toMatchObject(before?.metadata.annotations ?? {});
  expect((await client.list(all('RemoteMachineTemplate'))).map(({ metadata }) => metadata.name)).toEqual(templates);
  expect((await host.readFile('/var/log/e2e-kubeadm')).trim().split('\n')).toHaveLength(1);
  await reconciled();
});

test('a changed field gets the control plane a new template; the old one, which may not change, was only tried in a dry run', async () => {
  const { client } = environment();
  const before = new Map(
    (await client.list(all('RemoteMachineTemplate'))).map(({ metadata }) => [metadata.name, metadata.resourceVersion]),
  );
  await client.apply(topology({ user: 'admin', labels: { 'e2e/tier': 'two' } }));
  const isNew = ({ metadata }: AnyObject) => !before.has(metadata.name);
  const templates = await client.waitForAll(all('RemoteMachineTemplate'), (list) => list.some(isNew));
  const made = templates.find(isNew);
  expect(made?.spec?.['template']).toMatchObject({ spec: { pool: 'classy', user: 'admin' } });
  const plane = { apiVersion: CONTROL_PLANE, kind: 'KubeadmControlPlane', namespace: objects.namespace };
  await client.waitForAll(plane, ([one]) => JSON.stringify(one?.spec?.['machineTemplate']).includes(`"name":"${made?.metadata.name}"`));
  await reconciled();
});

/** The topology controller has no complaint. */
async function reconciled(): Promise<void> {
  const reference = objects.clusterRef('Cluster', 'classy');
  await environment().client.waitFor(reference, ({ metadata, status }) => {
    const condition = status?.conditions?.find(({ type }) => type === 'TopologyReconciled') as
      { status: string; observedGeneration?: number } | undefined;
    return condition?.status === 'True' && condition.observedGeneration === metadata.generation;
  });
}

test('deleted, the cluster takes its objects along and gives the host back', async () => {
  const { client } = environment();
  await client.delete(objects.clusterRef('Cluster', 'classy'));
  await client.waitForGone(objects.clusterRef('Cluster', 'classy'));
  expect(await client.list(machines())).toEqual([]);
  expect(await client.list(all('RemoteCluster'))).toEqual([]);
  await client.waitFor<Entry>(objects.ref('PooledRemoteMachine', 'first'), isFree);
});
