/** `clusterctl move`, the real one, to another management cluster and back: nothing runs again, nothing is cleaned, no host changes hands. */
import { findPrograms } from '../env/binaries.ts';
import { Client, type Manifest } from '../env/client.ts';
import { type CommandResult, run as runCommand } from '../env/command.ts';
import { type ControlPlane, type ControlPlaneAccess, startControlPlane } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { prepareManager } from '../env/managers.ts';
import { type Operator, startOperator } from '../env/operator.ts';
import type { ManagedProcess } from '../env/process.ts';
import { loginsOf } from '../fixtures/hosts.ts';
import { Objects } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, entryOf, historic, historyOf, isCleaned, isFree, runIDOf } from '../fixtures/pool.ts';
import { WorkloadCluster } from '../fixtures/workload.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'moved';
const MOVE = 'clusterctl.cluster.x-k8s.io/move';
const environment = sharedEnvironment('move');

/** A management cluster: its API server, and Cluster API core and the operator on it. */
interface Management {
  plane: ControlPlaneAccess;
  client: Client;
  operator: Operator;
}
let objects: Objects;
let hosts: Host[];
let here: Management;
let there: Management & { plane: ControlPlane; core: ManagedProcess };
let workload: WorkloadCluster;
let clusterctl: string;

const machines = ['pool-a', 'pool-b', 'own'];
const host = (index: number): Host => hosts[index] as Host;
const remote = (name: string) => objects.ref('RemoteMachine', name);
const entryRef = (name: string) => objects.ref('PooledRemoteMachine', name);

const withLabel = (manifest: Manifest, label: string): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, labels: { ...manifest.metadata.labels, [label]: '' } },
});

async function startThere(): Promise<typeof there> {
  const { state, namespace } = environment();
  const plane = await startControlPlane(state.run, { name: `${namespace}-there`, controllerManager: true }, () => undefined);
  const client = await Client.connect(plane.kubeconfig);
  const core = await (await prepareManager(state.run, 'core', { controlPlane: plane, client }, () => undefined))();
  const operator = await startOperator(state.run, { controlPlane: plane, client }, { namespace });
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  return { plane, client, operator, core };
}

function move(from: Management, to: Management, ...flags: string[]): Promise<CommandResult> {
  const args = [
    'move',
    '--kubeconfig',
    from.plane.kubeconfig,
    '--to-kubeconfig',
    to.plane.kubeconfig,
    '--namespace',
    objects.namespace,
    ...flags,
  ];
  return runCommand(clusterctl, args, { env: { ...process.env, CLUSTERCTL_DISABLE_VERSIONCHECK: 'true' } });
}

/** What `clusterctl init` would have noted of the providers that run there, and its label on our kinds: Cluster API's have it. */
async function noteProviders({ client }: Management): Promise<void> {
  const providers: [string, string][] = [
    ['cluster-api', 'CoreProvider'],
    ['infrastructure-remote', 'InfrastructureProvider'],
  ];
  const definition = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' };
  for (const { metadata } of await client.list(definition)) {
    if (metadata.labels?.['cluster.x-k8s.io/provider'] !== 'infrastructure-remote') continue;
    await client.patch({ ...definition, name: metadata.name }, { metadata: { labels: { 'clusterctl.cluster.x-k8s.io': '' } } });
  }
  for (const [name, type] of providers) {
    const labels = { 'clusterctl.cluster.x-k8s.io': '', 'cluster.x-k8s.io/provider': name };
    const apiVersion = 'clusterctl.cluster.x-k8s.io/v1alpha3';
    const metadata = { namespace: 'default', name, labels };
    await client.apply({
      apiVersion,
      kind: 'Provider',
      metadata,
      providerName: name.replace('infrastructure-', ''),
      type,
      version: 'v0.1.0',
    });
  }
}

beforeAll(async () => {
  const { client, namespace, controlPlane, state, createHosts } = environment();
  objects = new Objects(namespace);
  ({ clusterctl } = await findPrograms(['clusterctl'], () => undefined));
  [hosts, workload, there] = await Promise.all([
    createHosts(4),
    WorkloadCluster.start(state.run, { name: `${namespace}-workload` }),
    startThere(),
  ]);
  here = { plane: controlPlane, client, operator: await environment().startOperator({ namespace }) };
  const kubeconfig = await workload.kubeconfigSecret(namespace, CLUSTER);
  await client.applyAll([
    ...objects.cluster(CLUSTER),
    objects.sshKey('pool-key', host(0)),
    withLabel(kubeconfig, MOVE),
    ...[0, 1, 3].map((i) => objects.entry(`entry-${i}`, 'moved', host(i), { cleanUpCommands })),
  ]);
  for (const name of machines) {
    const spec = name === 'own' ? { address: host(2).address, sshKeyRef: { name: 'pool-key' }, cleanUpCommands } : { pool: 'moved' };
    const data = objects.bootstrapData(name, historic());
    await client.applyAll([
      withLabel(data, MOVE),
      objects.remoteMachine(name, spec),
      withLabel(objects.machine(name, CLUSTER), 'cluster.x-k8s.io/control-plane'),
    ]);
    await client.waitForCondition(remote(name), 'Ready');
  }
  await Promise.all(
    [0, 1, 2].map(async (i) => workload.join(`node-${i}`, { machineID: (await host(i).readFile('/etc/machine-id')).trim() })),
  );
  await Promise.all(
    machines.map((name) => client.waitFor(objects.clusterRef('Machine', name), ({ status }) => status?.['phase'] === 'Running')),
  );
});
afterAll(async () => {
  await there.operator.kill();
  await there.core.kill();
  there.client.rest.close();
  await there.plane.stop();
  await workload.stop();
});

interface Moved {
  name: string;
  providerID: unknown;
  entry: string | undefined;
  run: string | undefined;
}
const stateOf = async ({ client }: Management): Promise<Moved[]> =>
  Promise.all(
    machines.map(async (name) => {
      const machine = await client.get(remote(name));
      return { name, providerID: machine.spec?.['providerID'], entry: entryOf(machine), run: runIDOf(machine) };
    }),
  );
const histories = () => Promise.all([0, 1, 2, 3].map((i) => historyOf(host(i))));

/** Everything of the namespace is on the other side, as it was, and works. */
async function expectMoved(from: Management, to: Management, before: Moved[], logins: number[]): Promise<void> {
  for (const name of machines) {
    const machine = await to.client.waitForCondition(remote(name), 'Ready');
    expect(machine.status).toMatchObject({ ready: true, initialization: { provisioned: true } });
    await to.client.waitFor(objects.clusterRef('Machine', name), ({ status }) => status?.['phase'] === 'Running');
  }
  expect(await stateOf(to)).toEqual(before);
  for (const [index, name] of ['pool-a', 'pool-b'].entries()) {
    const { uid } = (await to.client.get(remote(name))).metadata;
    const entry = await to.client.waitFor<Entry>(entryRef(`entry-${index}`), ({ status }) => status?.machineRef?.uid === uid);
    await to.client.waitFor(entryRef(`entry-${index}`), (object) => conditionOf(object, 'Clean')?.status === 'True');
    expect(entry.status).toMatchObject({ reserved: true, machineRef: { name, clusterName: CLUSTER } });
  }
  await to.client.waitFor<Entry>(entryRef('entry-3'), isFree);
  for (const name of machines) expect(await from.client.find(remote(name))).toBeUndefined();
  for (const i of [0, 1, 3]) expect(await from.client.find(entryRef(`entry-${i}`))).toBeUndefined();
  // Neither side had any business on a host.
  expect(await Promise.all(hosts.map(loginsOf))).toEqual(logins);
}

test('there and back, with machines that run', async () => {
  // The first attempt from a side brings clusterctl's own kinds there, and says what it misses.
  for (const [from, to] of [
    [here, there],
    [there, here],
  ] as const) {
    await move(from, to, '--dry-run');
    await noteProviders(from);
  }
  const before = await stateOf(here);
  const ran = await histories();
  const logins = await Promise.all(hosts.map(loginsOf));
  expect(ran.map((lines) => lines.length)).toEqual([1, 1, 1, 0]);
  for (const [from, to] of [
    [here, there],
    [there, here],
  ] as const) {
    const { exitCode, stderr } = await move(from, to);
    expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ exitCode: 0, stderr: '' });
    await expectMoved(from, to, before, logins);
    expect(await histories()).toEqual(ran);
  }
});

test('afterwards a deletion cleans each host once', async () => {
  const { client } = here;
  await client.delete(objects.clusterRef('Cluster', CLUSTER));
  for (const name of machines) await client.waitForGone(remote(name));
  for (const i of [0, 1]) await client.waitFor<Entry>(entryRef(`entry-${i}`), isFree);
  for (const i of [0, 1, 2]) {
    expect(await historyOf(host(i))).toEqual([expect.stringMatching(/^run /), 'clean']);
    expect(await isCleaned(host(i))).toBe(true);
  }
});
