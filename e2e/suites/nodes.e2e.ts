/** Which Node of the workload cluster, a real API server, is taken for a host; by machine ID is in the suite of the samples. */
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import { counting, Objects } from '../fixtures/objects.ts';
import { conditionOf } from '../fixtures/pool.ts';
import { WorkloadCluster } from '../fixtures/workload.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('nodes');
const names = ['by-hostname', 'by-address', 'twins', 'taken'];
let objects: Objects;
let workload: WorkloadCluster;
let hosts: Map<string, Host>;

const host = (name: string): Host => hosts.get(name) as Host;
const machineID = async (name: string): Promise<string> => (await host(name).readFile('/etc/machine-id')).trim();
const providerIDOf = (name: string): string => `remote-machine://${host(name).address}:22`;
const nodeIs = (name: string, node: string) =>
  workload.client.waitFor(workload.node(node), ({ spec }) => spec?.['providerID'] === providerIDOf(name));
const saysOfNode = (name: string, reason: string) =>
  environment().client.waitFor(
    objects.ref('RemoteMachine', name),
    (object: AnyObject) => conditionOf(object, 'NodeProviderIDSet')?.reason === reason,
  );

beforeAll(async () => {
  const { client, namespace, state, createHost, startOperator } = environment();
  objects = new Objects(namespace);
  const created = Promise.all(names.map(async (name) => [name, await createHost({ hostname: `host-${name}` })] as const));
  const [made, started] = await Promise.all([
    created,
    WorkloadCluster.start(state.run, { name: `${namespace}-workload` }),
    startOperator({ namespace, args: ['-v', '2'] }),
  ]);
  hosts = new Map(made);
  workload = started;
  await client.applyAll([await workload.kubeconfigSecret(namespace, 'main'), ...objects.cluster('main')]);
  const cleanUp = { cleanUpCommands: ['true'] };
  await Promise.all(names.map((name) => client.applyAll(objects.explicit(name, 'main', host(name), counting(), cleanUp))));
  await Promise.all(names.map((name) => saysOfNode(name, 'WaitingForNode')));
});
afterAll(() => workload.stop());

test('a Node without a machine ID is known by its hostname', async () => {
  await workload.join('host-by-hostname', {});
  await nodeIs('by-hostname', 'host-by-hostname');
  expect(conditionOf(await saysOfNode('by-hostname', 'NodeProviderIDSet'), 'NodeProviderIDSet')?.message).toContain('host-by-hostname');
});

test('a Node of another name is known by its address', async () => {
  await workload.join('some-other-name', { addresses: [{ type: 'InternalIP', address: host('by-address').address }] });
  await nodeIs('by-address', 'some-other-name');
});

test('of two Nodes that could be the host none is touched, until one of them goes', async () => {
  const twin = { machineID: await machineID('twins') };
  // At once, so that no moment has one of them alone: the second write of each makes it a candidate.
  await workload.join('twin-1', {});
  await workload.join('twin-2', {});
  const address = { type: 'InternalIP', address: '192.0.2.1' };
  const status = { status: { addresses: [address], nodeInfo: twin } };
  await environment().client.patch(objects.clusterRef('Cluster', 'main'), { spec: { paused: true } });
  await environment().client.waitForCondition(objects.ref('RemoteMachine', 'twins'), 'Paused');
  for (const name of ['twin-1', 'twin-2']) await workload.client.patch(workload.node(name), status, 'status');
  await environment().client.patch(objects.clusterRef('Cluster', 'main'), { spec: { paused: false } });
  const ambiguous = await saysOfNode('twins', 'NodeAmbiguous');
  expect(conditionOf(ambiguous, 'NodeProviderIDSet')?.message).toContain('twin-1, twin-2');
  expect(conditionOf(ambiguous, 'Ready')?.status).toBe('True');
  for (const name of ['twin-1', 'twin-2']) expect((await workload.client.get(workload.node(name))).spec?.['providerID']).toBeUndefined();
  await workload.client.delete(workload.node('twin-1'));
  await nodeIs('twins', 'twin-2');
});

test('a Node that has another provider ID keeps it, and the machine says so', async () => {
  await workload.join('cloudy', { machineID: await machineID('taken'), providerID: 'cloud://1' });
  const taken = await saysOfNode('taken', 'NodeHasOtherProviderID');
  expect(conditionOf(taken, 'NodeProviderIDSet')?.message).toContain('cloud://1');
  expect((await workload.client.get(workload.node('cloudy'))).spec?.['providerID']).toBe('cloud://1');
});

test('a kubeconfig whose server does not answer is told, and read again', async () => {
  const { client, namespace, createHost } = environment();
  const place = await createHost();
  const secret = await workload.kubeconfigSecret(namespace, 'astray');
  const wrong = JSON.stringify(secret['stringData']).replaceAll(workload.plane.url, 'https://127.0.0.1:1');
  await client.applyAll([{ ...secret, stringData: JSON.parse(wrong) as Record<string, string> }, ...objects.cluster('astray')]);
  await client.applyAll(objects.explicit('astray', 'astray', place, counting(), { cleanUpCommands: ['true'] }));
  const astray = await client.waitFor(
    objects.ref('RemoteMachine', 'astray'),
    (object: AnyObject) => conditionOf(object, 'NodeProviderIDSet')?.reason === 'WorkloadClusterUnreachable',
  );
  expect(conditionOf(astray, 'NodeProviderIDSet')?.message).toContain('no answer from the API server at 127.0.0.1:1');
  await client.apply(secret);
  await workload.join(place.name, { machineID: (await place.readFile('/etc/machine-id')).trim() });
  await workload.client.waitFor(workload.node(place.name), ({ spec }) => spec?.['providerID'] !== undefined);
});
