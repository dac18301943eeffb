/**
 * A control plane and a worker that Cluster API's own kubeadm control plane and bootstrap managers make: the bootstrap data is what they
 * really write. On the hosts a stand-in takes the place of kubeadm (see fixtures/kubeadm.ts), the API server behind the load balancer is
 * a real one, and the Nodes are written by this suite, as kubelets would.
 */
import type { AnyObject, Manifest } from '../env/client.ts';
import type { LoadBalancer } from '../env/haproxy.ts';
import type { Host } from '../env/hosts.ts';
import { gateway } from '../env/network.ts';
import { installKubeadm, kubeadmCalls } from '../fixtures/kubeadm.ts';
import { CLUSTER_API, Objects, PREFIX } from '../fixtures/objects.ts';
import { type Entry, isFree, isReady } from '../fixtures/pool.ts';
import { WorkloadCluster } from '../fixtures/workload.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const VERSION = 'v1.34.4';
const CLUSTER = 'kubeadm';
const environment = sharedEnvironment('kubeadm');
let objects: Objects;
let spare: Host, controller: Host, worker: Host;
let balancer: LoadBalancer;
let workload: WorkloadCluster;

const object = (apiVersion: string, kind: string, name: string, spec: object): Manifest => ({
  apiVersion,
  kind,
  metadata: { namespace: objects.namespace, name },
  spec,
});
const template = (kind: string, name: string) => ({
  apiGroup: kind.startsWith('Remote') ? PREFIX : 'bootstrap.cluster.x-k8s.io',
  kind,
  name,
});

const nodeRegistration = { nodeRegistration: { criSocket: 'unix:///run/containerd/containerd.sock' } };

/** What people add to a machine beside kubeadm itself. */
const extras = {
  files: [{ path: '/etc/e2e/extra.conf', owner: 'root:adm', permissions: '0640', content: 'a: 1\n' }],
  users: [
    {
      name: 'operations',
      sudo: 'ALL=(ALL) NOPASSWD:ALL',
      shell: '/bin/sh',
      sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMYDbOLahOWSzLEj2H7ISgjepCyME/Mowd7Rl2B0j3ch operations'],
    },
  ],
  ntp: { enabled: true, servers: ['192.0.2.123'] },
  preKubeadmCommands: ['echo "before, on {{ ds.meta_data.local_hostname }}" >>/var/log/kubeadm-calls'],
  postKubeadmCommands: ['echo after >>/var/log/kubeadm-calls'],
};

const controlPlane = () =>
  object('controlplane.cluster.x-k8s.io/v1beta2', 'KubeadmControlPlane', CLUSTER, {
    replicas: 1,
    version: VERSION,
    machineTemplate: { spec: { infrastructureRef: template('RemoteMachineTemplate', 'controllers') } },
    kubeadmConfigSpec: { initConfiguration: nodeRegistration, joinConfiguration: nodeRegistration, ...extras },
  });

const workers = () =>
  object(CLUSTER_API, 'MachineDeployment', 'workers', {
    clusterName: CLUSTER,
    replicas: 1,
    selector: { matchLabels: {} },
    template: {
      spec: {
        clusterName: CLUSTER,
        version: VERSION,
        bootstrap: { configRef: template('KubeadmConfigTemplate', 'workers') },
        infrastructureRef: template('RemoteMachineTemplate', 'workers'),
      },
    },
  });

beforeAll(async () => {
  const { client, namespace, state, createHosts, createLoadBalancer, startOperator } = environment();
  objects = new Objects(namespace);
  [[controller, spare, worker]] = (await Promise.all([createHosts(3), startOperator({ namespace, args: ['-v', '2'] })])) as unknown as [
    [Host, Host, Host],
  ];
  // In front of every host that may become a control plane machine.
  balancer = await createLoadBalancer({ port: 6443, backends: [controller, spare].map(({ address }) => ({ address })) });
  const address = gateway(state.hosting?.network.prefix ?? '');
  workload = await WorkloadCluster.start(state.run, { name: `${namespace}-workload`, address, alsoAt: [balancer.address] });
  await Promise.all([controller, spare, worker].map((host) => installKubeadm(host, new URL(workload.plane.url).host)));
  const [remoteCluster, cluster] = objects.cluster(CLUSTER, { controlPlaneEndpoint: { host: balancer.address, port: 6443 } }) as [
    Manifest,
    Manifest,
  ];
  const controlPlaneRef = { apiGroup: 'controlplane.cluster.x-k8s.io', kind: 'KubeadmControlPlane', name: CLUSTER };
  await client.applyAll([
    objects.sshKey('pool-key', controller),
    objects.entry('controller-0', 'controllers', controller),
    objects.entry('controller-1', 'controllers', spare),
    objects.entry('worker-0', 'workers', worker),
    objects.template('controllers', { pool: 'controllers' }),
    objects.template('workers', { pool: 'workers' }),
    object('bootstrap.cluster.x-k8s.io/v1beta2', 'KubeadmConfigTemplate', 'workers', {
      template: { spec: { joinConfiguration: nodeRegistration, ...extras } },
    }),
    await workload.caSecret(namespace, CLUSTER),
    remoteCluster,
    { ...cluster, spec: { ...(cluster.spec as object), controlPlaneRef } },
    controlPlane(),
    workers(),
  ]);
});
afterAll(() => workload.stop());

/** The RemoteMachine that has the entry. */
const machineOn = async (entry: string): Promise<AnyObject> => {
  const machines = { apiVersion: `${PREFIX}/v1beta2`, kind: 'RemoteMachine', namespace: objects.namespace };
  const has = (machine: AnyObject) => machine.metadata.annotations?.[`${PREFIX}/pool-entry`] === entry && isReady(machine);
  const found = await environment().client.waitForAll(machines, (all) => all.some(has), 90_000);
  return found.find(has) as AnyObject;
};

/** What the config's own fields did to the host. */
async function expectExtras(host: Host): Promise<void> {
  expect(await host.readFile('/etc/e2e/extra.conf')).toBe('a: 1\n');
  expect(await host.stat('/etc/e2e/extra.conf')).toMatchObject({ owner: 'root', group: 'adm', mode: '640' });
  // The first place where the hosts' sshd looks for the keys of a user.
  expect(await host.readFile('/etc/ssh/authorized_keys/operations')).toContain('AAAAIMYDbOLahOWSzLEj2H7ISgjepCyME');
  expect((await host.exec('su operations -c "sudo -n id -un"')).stdout.trim()).toBe('root');
  expect(await host.readFile('/etc/chrony/chrony.conf')).toContain('server 192.0.2.123 iburst');
  expect(await host.readFile('/var/log/chrony-calls')).toBe('restart\n');
}

test('the control plane: what its manager wrote runs on the first host of the pool', async () => {
  const machine = await machineOn('controller-0');
  expect(await kubeadmCalls(controller)).toEqual([
    `before, on ${controller.name}`,
    expect.stringMatching(/^init --config \/run\/kubeadm\/kubeadm.yaml/),
    'after',
  ]);
  const config = await controller.readFile('/var/log/kubeadm-init.yaml');
  expect(config).toContain(`controlPlaneEndpoint: ${balancer.address}:6443`);
  expect(await controller.stat('/etc/kubernetes/pki/ca.key')).toMatchObject({ owner: 'root', group: 'root', mode: '600' });
  await expectExtras(controller);
  expect(machine.metadata.annotations).toMatchObject({
    'cluster.x-k8s.io/cloned-from-name': 'controllers',
    'cluster.x-k8s.io/cloned-from-groupkind': `RemoteMachineTemplate.${PREFIX}`,
  });
  expect(await kubeadmCalls(spare)).toEqual([]);
});

test('a worker: once the control plane is initialized, it joins by the token that the bootstrap manager made', async () => {
  await workload.initialize(VERSION);
  await machineOn('worker-0');
  expect(await kubeadmCalls(worker)).toEqual([
    `before, on ${worker.name}`,
    expect.stringMatching(/^join --config \/run\/kubeadm\/kubeadm-join-config.yaml/),
    'after',
  ]);
  expect(await worker.readFile('/var/log/kubeadm-join.yaml')).toMatch(
    new RegExp(`apiServerEndpoint: ${balancer.address}:6443[^]*token: \\w{6}\\.\\w{16}`),
  );
  await expectExtras(worker);
});

test('through the load balancer, every Node gets its provider ID and every Machine runs', async () => {
  const { client } = environment();
  for (const host of [controller, worker]) {
    await workload.join(host.name, { machineID: (await host.readFile('/etc/machine-id')).trim() });
    const node = await workload.client.waitFor(workload.node(host.name), ({ spec }) => spec?.['providerID'] !== undefined);
    expect(node.spec?.['providerID']).toBe(`remote-machine://${host.address}:22`);
  }
  const machines = { apiVersion: CLUSTER_API, kind: 'Machine', namespace: objects.namespace };
  await client.waitForAll(machines, (all) => all.length === 2 && all.every(({ status }) => status?.['phase'] === 'Running'));
});

test('deleted with its Cluster, every host is reset, clean, and free', async () => {
  const { client } = environment();
  // Its manager looks for etcd on every control plane Node, for 15 s each time where there is none.
  await workload.client.delete(workload.node(controller.name));
  await client.delete(objects.clusterRef('Cluster', CLUSTER));
  await client.waitForGone(objects.clusterRef('Cluster', CLUSTER), 120_000);
  for (const [host, entry] of [
    [controller, 'controller-0'],
    [worker, 'worker-0'],
  ] as const) {
    await client.waitFor<Entry>(objects.ref('PooledRemoteMachine', entry), isFree);
    expect((await kubeadmCalls(host)).slice(3)).toEqual(['reset --force']);
    for (const path of [
      '/etc/kubernetes/kubelet.conf',
      '/etc/kubernetes/pki',
      '/run/kubeadm',
      '/etc/e2e/extra.conf',
      '/run/cluster-api/placeholder',
      '/run/cluster-api/bootstrap-success.complete',
      '/var/lib/cluster-api-provider-remote/claim',
    ])
      expect([path, await host.exists(path)]).toEqual([path, false]);
  }
});
