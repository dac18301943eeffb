/**
 * The samples explicit-machine.yaml and pool.yaml as they stand; only the addresses and the namespace are replaced, and the key Secrets
 * that they name are made. k0smotron's providers are played by this suite (see fixtures/k0s.ts); everything else is real.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnyObject, type Manifest, parseYAML } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import { loginsOf } from '../fixtures/hosts.ts';
import {
  BOOTSTRAP,
  CONTROL_PLANE,
  controllerData,
  installK0s,
  k0sCalls,
  k0smotronKinds,
  playBootstrap,
  workerData,
} from '../fixtures/k0s.ts';
import { INFRASTRUCTURE, Objects, PREFIX } from '../fixtures/objects.ts';
import { conditionOf, type Entry, isFree } from '../fixtures/pool.ts';
import { WorkloadCluster } from '../fixtures/workload.ts';
import { sharedEnvironment } from '../jest/shared.ts';

/** A sample's objects in a namespace of their own. */
async function sample(file: string, addresses: Record<string, string>, namespace: string): Promise<Manifest[]> {
  let text = await readFile(join(import.meta.dirname, '../../manifests/samples', file), 'utf8');
  for (const [from, to] of Object.entries(addresses)) text = text.replaceAll(from, to);
  text = text.replaceAll('namespace: default', `namespace: ${namespace}`);
  return parseYAML(text).map((manifest) => ({ ...manifest, metadata: { ...manifest.metadata, namespace } }));
}

const reasonOf = (type: string, reason: string) => (object: AnyObject) => conditionOf(object, type)?.reason === reason;

describe('explicit-machine.yaml', () => {
  const environment = sharedEnvironment('samples-machine');
  const name = 'remote-test-0';
  let objects: Objects;
  let host: Host;
  let workload: WorkloadCluster;

  beforeAll(async () => {
    const { client, namespace, state, createHost, startOperator } = environment();
    objects = new Objects(namespace);
    [host, workload] = await Promise.all([
      createHost({ kind: 'full' }),
      WorkloadCluster.start(state.run, { name: `${namespace}-workload` }),
      startOperator({ namespace, args: ['-v', '2'] }),
    ]);
    await installK0s(host);
    await client.applyAll([...k0smotronKinds(), objects.sshKey('footloose-key', host)]);
    await client.applyAll(await sample('explicit-machine.yaml', { '1.2.3.4': host.address }, namespace));
  });
  afterAll(() => workload.stop());

  test('the RemoteCluster without a spec is ready, and the machine waits for its bootstrap data without a contact', async () => {
    const { client } = environment();
    await client.waitForCondition(objects.ref('RemoteCluster', 'remote-test'), 'Ready');
    const waiting = await client.waitFor(objects.ref('RemoteMachine', name), reasonOf('BootstrapExecSucceeded', 'WaitingForBootstrapData'));
    expect(conditionOf(waiting, 'Ready')?.message).toContain('K0sWorkerConfig remote-test-0');
    expect(await host.exists('/var/lib/cluster-api-provider-remote')).toBe(false);
  });

  test('the data of the played K0sWorkerConfig runs once on the host', async () => {
    const { client, namespace } = environment();
    await playBootstrap(client, { apiVersion: BOOTSTRAP, kind: 'K0sWorkerConfig', namespace, name }, workerData(name));
    const machine = await client.waitForCondition(objects.ref('RemoteMachine', name), 'Ready');
    expect(machine.spec?.['providerID']).toBe(`remote-machine://${host.address}:22`);
    expect(machine.status).toMatchObject({
      ready: true,
      initialization: { provisioned: true },
      addresses: [{ type: 'ExternalIP', address: host.address }],
    });
    expect(await host.readFile('/etc/k0s.token')).toBe(`H4sIAAAAAAAA/token-of-${name}`);
    expect(await host.stat('/etc/k0s.token')).toMatchObject({ owner: 'root', group: 'root', mode: '600' });
    expect(await k0sCalls(host)).toEqual([
      `install worker --token-file /etc/k0s.token --labels=k0smotron.io/machine-name=${name} --kubelet-extra-args=--hostname-override=${name}`,
    ]);
    expect((await host.exec('systemctl is-active k0sworker')).stdout.trim()).toBe('active');
    const core = await client.waitFor(objects.clusterRef('Machine', name), ({ status }) => status?.['phase'] === 'Provisioned');
    expect(core.spec?.['providerID']).toBe(machine.spec?.['providerID']);
    expect(core.status?.['addresses']).toEqual([{ type: 'ExternalIP', address: host.address }]);
  });

  test('until there is a kubeconfig the machine says so; with it, the Node gets its provider ID and the Machine runs', async () => {
    const { client, namespace } = environment();
    const missing = await client.waitFor(objects.ref('RemoteMachine', name), reasonOf('NodeProviderIDSet', 'KubeconfigNotFound'));
    expect(conditionOf(missing, 'NodeProviderIDSet')?.message).toContain('remote-test-kubeconfig');
    expect(conditionOf(missing, 'Ready')?.status).toBe('True');
    await client.apply(await workload.kubeconfigSecret(namespace, 'remote-test'));
    await client.waitFor(objects.ref('RemoteMachine', name), reasonOf('NodeProviderIDSet', 'WaitingForNode'));
    // The control plane provider says that the API server is up once it is, so that Cluster API core connects to it.
    const plane = { apiVersion: CONTROL_PLANE, kind: 'K0smotronControlPlane', namespace, name: 'remote-test' };
    const status = { ready: true, initialized: true, externalManagedControlPlane: true, version: 'v1.27.2' };
    await client.patch(plane, { status }, 'status');
    await workload.join(name, { machineID: (await host.readFile('/etc/machine-id')).trim() });
    const node = await workload.client.waitFor(workload.node(name), ({ spec }) => spec?.['providerID'] !== undefined);
    expect(node.spec?.['providerID']).toBe(`remote-machine://${host.address}:22`);
    const running = await client.waitFor(objects.clusterRef('Machine', name), (machine) => machine.status?.['phase'] === 'Running');
    expect(running.status?.['nodeRef']).toEqual({ name });
    await client.waitFor(objects.ref('RemoteMachine', name), reasonOf('NodeProviderIDSet', 'NodeProviderIDSet'));
  });

  test('deleted, it leaves nothing of k0s on the host', async () => {
    const { client } = environment();
    await client.delete(objects.clusterRef('Machine', name));
    await client.waitForGone(objects.ref('RemoteMachine', name));
    for (const path of [
      '/etc/k0s.token',
      '/var/lib/k0s',
      '/etc/systemd/system/k0sworker.service',
      '/run/cluster-api',
      '/var/lib/cluster-api-provider-remote/claim',
    ])
      expect([path, await host.exists(path)]).toEqual([path, false]);
    expect((await k0sCalls(host)).slice(1)).toEqual(['reset', 'reset']);
  });
});

describe('pool.yaml', () => {
  const environment = sharedEnvironment('samples-pool');
  const name = 'remote-test-0';
  const cloned = {
    'cluster.x-k8s.io/cloned-from-name': 'remote-test-template',
    'cluster.x-k8s.io/cloned-from-groupkind': `RemoteMachineTemplate.${PREFIX}`,
  };
  const labels = {
    'cluster.x-k8s.io/cluster-name': 'remote-test',
    'cluster.x-k8s.io/control-plane': 'true',
    'cluster.x-k8s.io/control-plane-name': 'remote-test',
  };
  const HOOK = 'pre-terminate.delete.hook.machine.cluster.x-k8s.io/kcp-cleanup';
  let objects: Objects;
  let hosts: [Host, Host];

  beforeAll(async () => {
    const { client, namespace, createHost, startOperator } = environment();
    objects = new Objects(namespace);
    const [first, second] = await Promise.all([
      createHost({ kind: 'full' }),
      createHost(),
      startOperator({ namespace, args: ['-v', '2'] }),
    ]);
    hosts = [first, second];
    await installK0s(first);
    await client.applyAll([...k0smotronKinds(), objects.sshKey('footloose-key-0', first), objects.sshKey('footloose-key-1', second)]);
    await client.applyAll(await sample('pool.yaml', { '1.2.3.4': first.address, '2.3.4.5': second.address }, namespace));
    // The sample leaves the Cluster to its user.
    const controlPlaneRef = { apiGroup: 'controlplane.cluster.x-k8s.io', kind: 'K0sControlPlane', name: 'remote-test' };
    await client.applyAll(
      objects
        .cluster('remote-test')
        .map((manifest) =>
          manifest.kind === 'Cluster' ? { ...manifest, spec: { ...(manifest.spec as object), controlPlaneRef } } : manifest,
        ),
    );
  });

  /** As the control plane provider makes it, again and again, by server-side apply. */
  const remoteMachine = async (): Promise<Manifest> => {
    const template = await environment().client.get(objects.ref('RemoteMachineTemplate', 'remote-test-template'));
    const { spec } = template.spec?.['template'] as { spec: object };
    return {
      apiVersion: INFRASTRUCTURE,
      kind: 'RemoteMachine',
      metadata: { namespace: objects.namespace, name, labels, annotations: cloned },
      spec,
    };
  };

  test('the played K0sControlPlane gets the first host of the pool for its machine', async () => {
    const { client, namespace } = environment();
    const config = { apiVersion: BOOTSTRAP, kind: 'K0sControllerConfig', namespace, name };
    await client.applyAll([
      await remoteMachine(),
      { apiVersion: BOOTSTRAP, kind: config.kind, metadata: { namespace, name, labels }, spec: { version: 'v1.27.1+k0s.0' } },
      {
        apiVersion: 'cluster.x-k8s.io/v1beta1',
        kind: 'Machine',
        metadata: { namespace, name, labels, annotations: { [HOOK]: '' } },
        spec: {
          clusterName: 'remote-test',
          version: 'v1.27.1',
          bootstrap: { configRef: { apiVersion: BOOTSTRAP, kind: config.kind, name } },
          infrastructureRef: { apiVersion: 'infrastructure.cluster.x-k8s.io/v1beta1', kind: 'RemoteMachine', name },
        },
      },
    ]);
    await playBootstrap(client, config, controllerData(name));
    const machine = await client.waitForCondition(objects.ref('RemoteMachine', name), 'Ready');
    expect(machine.spec).toMatchObject({
      pool: 'default',
      address: hosts[0].address,
      providerID: `remote-machine://${hosts[0].address}:22`,
    });
    expect(await k0sCalls(hosts[0])).toEqual([expect.stringMatching(`^install controller .*AUTOPILOT_HOSTNAME=${name}`), 'start']);
    expect(await hosts[0].stat('/var/lib/k0s/pki/etcd/ca.key')).toMatchObject({ owner: 'root', mode: '644' });
    const entry = await client.get<Entry>(objects.ref('PooledRemoteMachine', 'remote-test-0'));
    expect(entry.status).toMatchObject({ reserved: true, machineRef: { name, namespace } });
    expect(await loginsOf(hosts[1])).toBe(0);
  });

  test('what the control plane provider wrote stays as it is, also when it applies it again', async () => {
    const { client } = environment();
    const before = await client.get(objects.ref('RemoteMachine', name));
    const after = await client.apply(await remoteMachine());
    for (const { metadata } of [before, after]) {
      expect(metadata.annotations).toMatchObject(cloned);
      expect(metadata.labels).toMatchObject(labels);
    }
    expect(after.spec).toEqual(before.spec);
    expect(after.metadata.annotations).toEqual(before.metadata.annotations);
    await client.waitFor(objects.clusterRef('Machine', name), ({ status }) => status?.['phase'] === 'Provisioned');
  });

  test('deleted, it keeps its host until the control plane provider lets it go, and the entry is free after that', async () => {
    const { client } = environment();
    await client.delete(objects.clusterRef('Machine', name));
    const waiting = await client.waitFor(
      objects.clusterRef('Machine', name),
      ({ metadata, status }) =>
        metadata.deletionTimestamp !== undefined &&
        status?.conditions?.some(({ type, reason }) => type === 'Deleting' && reason === 'WaitingForPreTerminateHook') === true,
    );
    expect(waiting.metadata.annotations).toHaveProperty([HOOK]);
    expect((await client.get(objects.ref('RemoteMachine', name))).metadata.deletionTimestamp).toBeUndefined();
    await client.patch(objects.clusterRef('Machine', name), { metadata: { annotations: { [HOOK]: null } } });
    await client.waitForGone(objects.ref('RemoteMachine', name));
    await client.waitFor<Entry>(objects.ref('PooledRemoteMachine', 'remote-test-0'), isFree);
    for (const path of ['/etc/k0s.yaml', '/var/lib/k0s', '/etc/systemd/system/k0scontroller.service'])
      expect(await hosts[0].exists(path)).toBe(false);
    expect((await k0sCalls(hosts[0])).slice(2)).toEqual(['etcd leave', 'reset', 'reset']);
  });
});
