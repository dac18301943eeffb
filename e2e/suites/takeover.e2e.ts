/**
 * docs/migrating-from-k0smotron.md, by its own commands, on a control plane of its own, as kinds are replaced: what k0smotron's
 * infrastructure provider left is taken over. That provider is played (see fixtures/k0smotron.ts), as it can't be built here.
 */
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnyObject, asNamed, Client } from '../env/client.ts';
import { type ControlPlane, startControlPlane } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { prepareManager } from '../env/managers.ts';
import { type Operator, startOperator } from '../env/operator.ts';
import type { ManagedProcess } from '../env/process.ts';
import { loginsOf } from '../fixtures/hosts.ts';
import { BOOTSTRAP, installK0s, k0sCalls, k0smotronKinds } from '../fixtures/k0s.ts';
import { DEPLOYMENT, FINALIZER, NAMESPACE as PEER, peerDeployment, peerKinds, PeerObjects, peerProvider } from '../fixtures/k0smotron.ts';
import { INFRASTRUCTURE, Objects, PREFIX } from '../fixtures/objects.ts';
import { commandsOf } from '../fixtures/page.ts';
import { cleanUpCommands, conditionOf, type Entry, entryOf, historic, historyOf, isCleaned, isFree, runIDOf } from '../fixtures/pool.ts';
import { Shell } from '../fixtures/shell.ts';
import { WorkloadCluster } from '../fixtures/workload.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'taken-over';
const PAGE = 'migrating-from-k0smotron.md';
const OURS = `remotemachine.${PREFIX}/finalizer`;
const environment = sharedEnvironment('takeover');

let plane: ControlPlane;
let client: Client;
let core: ManagedProcess;
let operator: Operator;
let workload: WorkloadCluster;
let objects: Objects;
/** In a folder that has the checkout's manifests, as the page says. */
let shell: Shell;
/** Of the machines by their names, and of the entry that is free. */
let hosts: Record<(typeof provisioned)[number] | 'free', Host>;

/** Machines that ran when the other provider was stopped, and their entries. */
const running = ['worker', 'commands', 'own', 'job'] as const;
const provisioned = [...running, 'leaving'] as const;
const entries = { worker: 'entry-0', commands: 'entry-1', leaving: 'entry-2' } as const;
/** Light hosts tell of logins. */
const light = ['commands', 'own', 'job', 'free'] as const;

const remote = (name: string) => objects.ref('RemoteMachine', name);
const entryRef = (name: string) => objects.ref('PooledRemoteMachine', name);
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: PEER, name: DEPLOYMENT };
const startOurs = () => startOperator(environment().state.run, { controlPlane: plane, client }, { namespace: objects.namespace });

/** The page's commands of that section. */
async function follow(heading: string, program = 'kubectl'): Promise<string[]> {
  const commands = await commandsOf(PAGE, heading, [program]);
  for (const command of commands) await shell.must(command);
  return commands;
}

/** The Machine of Cluster API with its bootstrap data, which would show on the host if it ran. */
async function createMachine(name: string, spec: object = {}): Promise<void> {
  const { metadata, ...machine } = objects.machine(name, CLUSTER, spec);
  const labels = name === 'own' ? { 'cluster.x-k8s.io/control-plane': '' } : {};
  const data = objects.bootstrapData(name, historic());
  await client.applyAll([data, { ...machine, metadata: { ...metadata, labels } }]);
}

async function createConfig(name: string): Promise<object> {
  const config = { apiVersion: BOOTSTRAP, kind: 'K0sWorkerConfig', namespace: objects.namespace, name };
  await client.apply({ apiVersion: BOOTSTRAP, kind: config.kind, metadata: { namespace: config.namespace, name }, spec: {} });
  await client.patch(config, { status: { ready: true, dataSecretName: name } }, 'status');
  return { bootstrap: { configRef: { apiGroup: BOOTSTRAP.split('/')[0], kind: config.kind, name }, dataSecretName: name } };
}

async function startPlane(): Promise<void> {
  const { state, namespace } = environment();
  plane = await startControlPlane(state.run, { name: `${namespace}-plane`, controllerManager: true }, () => undefined);
  client = await Client.connect(plane.kubeconfig);
  core = await (await prepareManager(state.run, 'core', { controlPlane: plane, client }, () => undefined))();
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  // As clusterctl does: no field of them is one that a later apply owns.
  for (const kind of peerKinds()) await client.waitForCondition(asNamed(await client.create(kind)), 'Established');
  await client.applyAll([...k0smotronKinds(), ...peerDeployment()]);
  const folder = join(plane.folder, 'checkout');
  await mkdir(folder);
  shell = await Shell.open(folder, { KUBECONFIG: plane.kubeconfig });
  await symlink(join(import.meta.dirname, '../../manifests'), join(folder, 'manifests'));
}

async function startHosts(): Promise<void> {
  const { createHost, createHosts } = environment();
  const [worker, [commands, own, job, leaving, free]] = await Promise.all([createHost({ kind: 'full' }), createHosts(5)]);
  hosts = { worker, commands, own, job, leaving, free } as typeof hosts;
  await installK0s(hosts.worker);
  await hosts.worker.exec(
    'echo token >/etc/k0s.token; k0s install worker --token-file /etc/k0s.token && systemctl start k0sworker; mkdir -p /run/cluster-api && touch /run/cluster-api/bootstrap-success.complete',
  );
}

beforeAll(async () => {
  const { state, namespace } = environment();
  objects = new Objects(namespace);
  [workload] = await Promise.all([WorkloadCluster.start(state.run, { name: `${namespace}-workload` }), startPlane(), startHosts()]);
  const peer = new PeerObjects(client, objects);
  await client.applyAll([objects.sshKey('pool-key', hosts.free), await workload.kubeconfigSecret(namespace, CLUSTER)]);
  await peer.cluster(CLUSTER);
  await peer.entry('entry-0', 'p', hosts.worker, { machine: 'worker' });
  await peer.entry('entry-1', 'p', hosts.commands, { machine: 'commands', cleanUpCommands });
  await peer.entry('entry-2', 'p', hosts.leaving, { machine: 'leaving', cleanUpCommands });
  await peer.entry('entry-3', 'p', hosts.free, { cleanUpCommands });
  await peer.machine('worker', hosts.worker, { pool: 'p' });
  await peer.machine('commands', hosts.commands, { pool: 'p', cleanUpCommands });
  await peer.machine('leaving', hosts.leaving, { pool: 'p', cleanUpCommands });
  await peer.machine('own', hosts.own, { cleanUpCommands });
  await peer.machine('job', hosts.job, { provisionJob: { jobSpecTemplate: { spec: { template: {} } } }, sshKeyRef: { name: '' } });
  await peer.waitingMachine('homeless', 'empty');
  const config = await createConfig('worker');
  for (const name of [...provisioned, 'homeless']) await createMachine(name, name === 'worker' ? config : {});
  for (const name of provisioned) await workload.join(name, { providerID: `remote-machine://${hosts[name].address}:22` });
  for (const name of provisioned)
    await client.waitFor(objects.clusterRef('Machine', name), ({ status }) => status?.['phase'] === 'Running' && 'nodeRef' in status);
  // Its provider was stopped before it came to these two.
  for (const name of ['leaving', 'homeless']) {
    await client.delete(objects.clusterRef('Machine', name));
    await client.waitFor(remote(name), ({ metadata }) => metadata.deletionTimestamp !== undefined);
  }
});
afterAll(async () => {
  await operator.kill();
  await core.kill();
  client.rest.close();
  await plane.stop();
  await workload.stop();
});

const identities = (list: AnyObject[]) => list.map(({ metadata, spec }) => ({ name: metadata.name, uid: metadata.uid, spec }));
/** The kind may have been replaced just now: as a wait, which goes on until it is served again. */
const listOf = (kind: string, apiVersion = INFRASTRUCTURE) =>
  client.waitForAll({ apiVersion, kind, namespace: objects.namespace }, () => true);
async function identitiesOf(apiVersion: string) {
  const kinds = ['RemoteMachine', 'PooledRemoteMachine', 'RemoteCluster'];
  return (await Promise.all(kinds.map((kind) => listOf(kind, apiVersion)))).map(identities);
}

test('its kinds are replaced, which `apply` alone is refused; all objects are there, in both versions', async () => {
  await follow('Before');
  const before = await identitiesOf(INFRASTRUCTURE);
  expect(before.map(({ length }) => length)).toEqual([6, 4, 1]);
  const refused = await shell.run('kubectl apply -k manifests/crds');
  expect(refused.exitCode).not.toBe(0);
  const why = 'spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook';
  expect(refused.stderr.match(/"[a-z0-9.-]+" is invalid: \[?[^,]+/g)).toEqual(
    ['pooledremotemachines', 'remotemachines'].map((plural) => `"${plural}.${PREFIX}" is invalid: [${why}`),
  );
  const commands = await follow('Take over');
  expect(commands.map((command) => command.split(' ').find((word) => ['scale', 'wait', 'replace', 'apply'].includes(word)))).toEqual([
    'scale',
    'wait',
    'replace',
    'apply',
  ]);
  expect(await identitiesOf(INFRASTRUCTURE)).toEqual(before);
  expect(await identitiesOf(INFRASTRUCTURE.replace('v1beta2', 'v1beta1'))).toEqual(before);
  // As it is from now on.
  expect(await shell.run('kubectl apply -k manifests/default')).toMatchObject({ exitCode: 0, stderr: '' });
});

test('its machines go on, with nothing done on their hosts', async () => {
  operator = await startOurs();
  for (const name of running) {
    await client.waitForCondition(remote(name), 'NodeProviderIDSet');
    const machine = await client.waitFor(remote(name), ({ status }) => status?.['ready'] === true);
    expect(machine.spec?.['providerID']).toBe(`remote-machine://${hosts[name].address}:22`);
    expect(machine.status).toMatchObject({
      initialization: { provisioned: true },
      addresses: [{ type: 'ExternalIP', address: hosts[name].address }],
    });
    expect(conditionOf(machine, 'Ready')).toMatchObject({ status: 'True', reason: 'Provisioned' });
    expect(machine.metadata.finalizers?.toSorted()).toEqual([OURS, FINALIZER].toSorted());
    expect(runIDOf(machine)).toBeUndefined();
    expect((await client.get(objects.clusterRef('Machine', name))).status).toMatchObject({ phase: 'Running', nodeRef: { name } });
  }
  for (const name of ['worker', 'commands'] as const) {
    const { uid } = (await client.get(remote(name))).metadata;
    const entry = await client.waitFor<Entry>(entryRef(entries[name]), ({ metadata }) => metadata.finalizers?.length === 1);
    expect(entry.status).toMatchObject({ reserved: true, machineRef: { name, namespace: objects.namespace, uid, clusterName: CLUSTER } });
    expect(conditionOf(entry, 'Reachable')).toMatchObject({ status: 'Unknown', reason: 'NotContacted' });
  }
  for (const name of light) expect([name, await loginsOf(hosts[name])]).toEqual([name, 0]);
  for (const name of [...running, 'free'] as const) expect(await historyOf(hosts[name])).toEqual([]);
  expect(await k0sCalls(hosts.worker)).toHaveLength(1);
});

test('what it did not finish deleting ends: the host is cleaned once, and one that never had a host just goes', async () => {
  await client.waitForGone(remote('homeless'));
  await client.waitForGone(remote('leaving'));
  await client.waitForGone(objects.clusterRef('Machine', 'leaving'));
  expect(await historyOf(hosts.leaving)).toEqual(['clean']);
  expect(await isCleaned(hosts.leaving)).toBe(true);
  await client.waitFor<Entry>(entryRef('entry-2'), isFree);
});

test('what is free serves a new machine', async () => {
  for (const name of ['entry-2', 'entry-3']) await client.waitFor<Entry>(entryRef(name), isFree);
  for (const [name, free] of [
    ['again', 'entry-2'],
    ['first', 'entry-3'],
  ] as const) {
    await client.apply(objects.remoteMachine(name, { pool: 'p' }));
    await createMachine(name);
    const machine = await client.waitForCondition(remote(name), 'Ready');
    expect(entryOf(machine)).toBe(free);
    expect((await historyOf(free === 'entry-2' ? hosts.leaving : hosts.free)).at(-1)).toBe(`run ${runIDOf(machine)}`);
  }
});

test('a k0s worker is deleted: nothing of it is left on its host, which is free', async () => {
  await client.delete(objects.clusterRef('Machine', 'worker'));
  await client.waitForGone(remote('worker'));
  expect((await k0sCalls(hosts.worker)).slice(1)).toEqual(['reset', 'reset']);
  for (const file of ['/etc/k0s.token', '/var/lib/k0s', '/etc/systemd/system/k0sworker.service', '/run/cluster-api'])
    expect([file, await hosts.worker.exists(file)]).toEqual([file, false]);
  expect(await isCleaned(hosts.worker)).toBe(true);
  await client.waitFor<Entry>(entryRef('entry-0'), isFree);
});

test('the host that a Job provisioned is cleaned once it is said how', async () => {
  await client.delete(objects.clusterRef('Machine', 'job'));
  await client.waitFor(remote('job'), (machine) => conditionOf(machine, 'CleanedUp')?.reason === 'SSHKeyRefMissing');
  await client.patch(remote('job'), { spec: { sshKeyRef: { name: 'pool-key' }, cleanUpCommands } });
  await client.waitForGone(remote('job'));
  expect(await historyOf(hosts.job)).toEqual(['clean']);
  expect(await isCleaned(hosts.job)).toBe(true);
});

test('there is a way back, and another time', async () => {
  const before = await identitiesOf(INFRASTRUCTURE);
  await operator.stop();
  await follow('The way back');
  const old = await listOf('RemoteMachine');
  expect(identities(old)).toEqual(before[0]);
  for (const { metadata, spec } of old) expect([metadata.finalizers, spec?.['providerID']]).toEqual([[FINALIZER], expect.any(String)]);
  const reserved = await client.waitFor<Entry>(entryRef('entry-1'), () => true);
  expect(reserved.metadata.finalizers).toBeUndefined();
  expect(reserved.status).toEqual({ reserved: true, machineRef: { name: 'commands', namespace: objects.namespace } });
  // Only its webhook, for which there is no node here, would convert them.
  await expect(client.get({ ...remote('own'), apiVersion: `${PREFIX}/v1beta1` })).rejects.toThrow(/conversion webhook/);
  await client.waitFor(deployment, ({ spec, status }) => spec?.['replicas'] === 1 && status?.['replicas'] === 1);

  await follow('Take over');
  operator = await startOurs();
  for (const name of ['own', 'commands', 'again', 'first'])
    await client.waitFor(remote(name), (machine) => machine.metadata.finalizers?.includes(OURS) === true);
});

test('for good: clusterctl takes away the rest of it, and leaves kinds and objects', async () => {
  const before = await identitiesOf(INFRASTRUCTURE);
  // Brings clusterctl's own kinds, and says what it misses.
  await shell.run('clusterctl delete --infrastructure k0sproject-k0smotron');
  await client.apply(peerProvider());
  await follow('Look at it afterwards');
  await follow('Look at it afterwards', 'clusterctl');
  await client.waitForGone(deployment);
  expect(await client.find({ apiVersion: 'v1', kind: 'Namespace', name: PEER })).toBeDefined();
  expect(await identitiesOf(INFRASTRUCTURE)).toEqual(before);
});

test('deleted at last, each host is cleaned once', async () => {
  const left = ['own', 'commands', 'again', 'first'];
  for (const name of left) await client.delete(objects.clusterRef('Machine', name));
  for (const name of left) await client.waitForGone(remote(name));
  for (const name of ['own', 'commands'] as const) expect(await historyOf(hosts[name])).toEqual(['clean']);
  expect(await historyOf(hosts.leaving)).toEqual(['clean', expect.stringMatching(/^run again-/), 'clean']);
  expect(await historyOf(hosts.free)).toEqual([expect.stringMatching(/^run first-/), 'clean']);
  for (const name of ['entry-1', 'entry-2', 'entry-3']) await client.waitFor<Entry>(entryRef(name), isFree);
});
