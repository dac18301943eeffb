/**
 * docs/clusterctl.md, by its own commands, with the real clusterctl on control planes that are empty, from releases as `make release`
 * writes them. Our manager runs as a Pod from what was installed. Cluster API's own managers are installed beside it and run as processes
 * of this machine: so the webhook clients that clusterctl installed are changed to call these, as a Service leads nowhere without nodes.
 * cert-manager's kinds are there, which is what clusterctl looks for; cert-manager itself is not, and nothing here waits for it.
 * On the hosts a stand-in takes the place of kubeadm (see fixtures/kubeadm.ts), and the Nodes are written by this suite.
 */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { project } from '../../release/version.ts';
import type { AnyObject, Manifest } from '../env/client.ts';
import { parseYAML } from '../env/client.ts';
import { MANAGER } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { isRolledOut } from '../env/kubelet/kubelet.ts';
import { gateway } from '../env/network.ts';
import { certManagerKinds, clusterAPIProviders, type ProviderEntry } from '../env/providers.ts';
import { Checkout } from '../fixtures/checkout.ts';
import { installScript, lastsUntil, mustExec, waitForFile } from '../fixtures/hosts.ts';
import { installKubeadm, kubeadmCalls } from '../fixtures/kubeadm.ts';
import { type Management, startManagement } from '../fixtures/management.ts';
import { CLUSTER_API, INFRASTRUCTURE, Objects, PREFIX } from '../fixtures/objects.ts';
import { commandsOf, fencedOf, tableOf } from '../fixtures/page.ts';
import { conditionOf, isReady, runIDOf } from '../fixtures/pool.ts';
import { Shell } from '../fixtures/shell.ts';
import { WorkloadCluster } from '../fixtures/workload.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const PAGE = 'clusterctl.md';
const IMAGE = 'registry.example/cluster-api-provider-remote';
/** As the page has them. */
const [CLUSTER, VERSION, LATER] = ['my-cluster', 'v1.34.4', '0.1.1'];
const GO_ON = '/run/go-on';
const environment = sharedEnvironment('clusterctl');
const objects = new Objects('default');
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: MANAGER.namespace, name: 'cluster-api-provider-remote' };
const remoteMachines = { apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', namespace: objects.namespace };
const machines = { apiVersion: CLUSTER_API, kind: 'Machine', namespace: objects.namespace };

let here: Management;
let there: Management;
let workload: WorkloadCluster;
let controller: Host, worker: Host, second: Host;
let shell: Shell;
let checkout: Checkout;
let folder: string;
/** What has been started, to be stopped: not everything has, where something fails. */
const started: { stop: () => Promise<void> }[] = [];

const seconds = (start: number): string => ((performance.now() - start) / 1000).toFixed(1);
/** The first command of the page's section that begins so. */
async function command(heading: string, begins: string): Promise<string> {
  const [first] = await commandsOf(PAGE, heading, [begins]);
  if (first === undefined) throw new Error(`docs/${PAGE} has no ${begins} under "${heading}"`);
  return first;
}

/** The page's configuration with the repository of this checkout, and with Cluster API's own providers, which come from GitHub elsewhere. */
async function configure(): Promise<void> {
  const shown = (await fencedOf(PAGE, 'Name the provider', 'yaml')).replace('/path/to', checkout.folder);
  const { providers, ...variables } = parse(shown) as { providers: ProviderEntry[] };
  await mkdir(join(folder, 'cluster-api'), { recursive: true });
  const all = [...providers, ...(await clusterAPIProviders(() => undefined))];
  await writeFile(join(folder, 'cluster-api/clusterctl.yaml'), stringify({ providers: all, ...variables }));
}

/** A control plane with nothing on it but what clusterctl looks for; a kubeconfig of its name is where commands run. */
async function startEmpty(name: string): Promise<Management> {
  const alsoNamed = [project.version, LATER].map((version) => `${IMAGE}:v${version}`);
  const management = await startManagement(environment(), { name, alsoNamed, empty: true });
  started.push(management);
  await management.client.applyAll(await certManagerKinds(() => undefined));
  return management;
}

beforeAll(async () => {
  const suite = environment();
  folder = join(suite.state.run.folder, suite.namespace);
  [here, [controller, worker, second], checkout] = (await Promise.all([
    startEmpty('here'),
    suite.createHosts(3),
    Checkout.copy(join(folder, 'checkout')),
  ])) as unknown as [Management, [Host, Host, Host], Checkout];
  const address = gateway(suite.state.hosting?.network.prefix ?? '');
  workload = await WorkloadCluster.start(suite.state.run, { name: `${suite.namespace}-workload`, address });
  started.push(workload);
  await Promise.all([controller, worker, second].map((host) => installKubeadm(host, new URL(workload.plane.url).host)));
  await checkout.release(IMAGE);
  await configure();
  shell = await Shell.open(folder, { KUBECONFIG: here.plane.kubeconfig, XDG_CONFIG_HOME: folder });
});
afterAll(async () => {
  await Promise.all(started.map((cluster) => cluster.stop()));
});

/** Of the Pods that are there, once there are no more than should be. */
async function imagesNow(): Promise<string[]> {
  const pods = await here.client.waitForAll({ apiVersion: 'v1', kind: 'Pod', namespace: MANAGER.namespace }, (all) => all.length === 1);
  return pods.map(({ spec }) => (spec as unknown as PodSpec).containers[0].image);
}
async function argsNow(): Promise<string[]> {
  const { spec } = await here.client.get(deployment);
  return (spec as { template: { spec: PodSpec } }).template.spec.containers[0].args;
}
interface PodSpec {
  containers: [{ image: string; args: string[] }];
}

test('init: our manager is ready within seconds', async () => {
  const start = performance.now();
  await shell.must(await command('Install', 'clusterctl init'));
  await here.client.waitFor(deployment, isRolledOut);
  process.stdout.write(`ready ${seconds(start)} s after clusterctl init began\n`);
  await here.startManagers();
  expect(await imagesNow()).toEqual([`${IMAGE}:v${project.version}`]);
  expect(await argsNow()).toContain('--concurrency=20');
});

describe('generate cluster', () => {
  const values = {
    CAPREMOTE_CONTROL_PLANE_ENDPOINT: '192.0.2.10',
    CAPREMOTE_CONTROL_PLANE_HOST: '192.0.2.11',
    CAPREMOTE_WORKER_HOST: 'worker.example',
    CAPREMOTE_SSH_KEY_SECRET: 'hosts',
  };
  const generate = `clusterctl generate cluster made --target-namespace flavours`;
  const options = `--kubernetes-version ${VERSION} --control-plane-machine-count 3 --worker-machine-count 2`;
  const isForeign = ({ kind }: Manifest): boolean => /^(K0s|RKE2)/.test(kind);

  const namespace = { apiVersion: 'v1', kind: 'Namespace', name: 'flavours' };
  beforeAll(() => here.client.create({ ...namespace, metadata: { name: namespace.name } }));
  // What is left of the class would keep the kinds.
  afterAll(() => here.client.delete(namespace));

  /** What the page says must be set for a flavour. */
  async function requiredBy(flavour: string): Promise<string[]> {
    const row = (await tableOf(PAGE, 'Make a cluster')).find(([name]) => name === flavour);
    if (row === undefined) throw new Error(`docs/${PAGE} has no flavour "${flavour}"`);
    return (row[2] ?? '').split(', ').filter(Boolean).sort();
  }

  test.each<[string, string, string[]]>([
    ['kubeadm on hosts of two pools', '', ['KubeadmControlPlane', 'MachineDeployment', 'RemoteMachineTemplate']],
    ['kubeadm on hosts that are named', 'explicit', ['Machine', 'KubeadmConfig', 'RemoteMachine']],
    ['a ClusterClass', 'clusterclass', ['ClusterClass', 'RemoteClusterTemplate', 'KubeadmControlPlaneTemplate']],
    ['k0smotron, whose kinds are not to be had and are left out', 'k0smotron', ['K0smotronControlPlane', 'K0sWorkerConfigTemplate']],
    ['RKE2, whose kinds are not to be had and are left out', 'rke2', ['RKE2ControlPlane', 'RKE2ConfigTemplate']],
  ])('%s: variables are listed, missed by their names, and the API server takes what comes out', async (_, flavour, kinds) => {
    const flags = flavour === '' ? '' : ` --flavor ${flavour}`;
    const required = await requiredBy(flavour === '' ? 'none' : flavour);
    const listed = await shell.must(`${generate}${flags} --list-variables`);
    const mandatory = listed.slice(0, listed.indexOf('Optional Variables:'));
    expect([...mandatory.matchAll(/- (\w+)/g)].map(([, name]) => name).sort()).toEqual([...required, 'KUBERNETES_VERSION'].sort());
    const missing = await shell.run(`${generate}${flags} ${options}`);
    if (required.length > 0)
      expect(missing.stderr).toContain(
        `value for variables [${required.join(', ')}] is not set. Please set the value using os environment`,
      );
    const made = parseYAML(await shell.with(values).must(`${generate}${flags} ${options}`));
    expect(made.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['Cluster', ...kinds]));
    for (const { metadata } of made) expect(metadata.namespace).toBe('flavours');
    await accepted(made.filter((object) => !isForeign(object)));
  });

  /** By schemas, webhooks and policies, as it would be applied; a class is, as the Cluster is compared with it. */
  async function accepted(made: Manifest[]): Promise<void> {
    const classes = made.filter(({ kind }) => kind === 'ClusterClass');
    if (classes.length > 0) await here.client.applyAll(made.filter(({ kind }) => kind !== 'Cluster'));
    for (const { metadata } of classes)
      await here.client.waitForCondition(
        { apiVersion: CLUSTER_API, kind: 'ClusterClass', namespace: 'flavours', name: metadata.name ?? '' },
        'VariablesReady',
      );
    const file = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: made });
    await shell.must(`kubectl apply --server-side --force-conflicts --dry-run=server --validate=strict -f - <<'END'\n${file}\nEND`);
  }
});

/** How often which host's kubeadm was called, and for what. */
const callsOf = async (): Promise<string[][]> =>
  Promise.all([controller, worker, second].map(async (host) => (await kubeadmCalls(host)).map((line) => line.split(' ')[0] ?? '')));
const running = (all: AnyObject[]): number => all.filter(({ status }) => status?.['phase'] === 'Running').length;
const joinNode = async (host: Host) => workload.join(host.name, { machineID: (await host.readFile('/etc/machine-id')).trim() });

test('generate cluster, as the page says: machines get hosts and run, and one waits for a host', async () => {
  const { client } = here;
  await client.applyAll([
    objects.sshKey('pool-key', controller),
    objects.entry('controller-0', 'control-plane', controller),
    objects.entry('worker-0', 'workers', worker),
    await workload.caSecret(objects.namespace, CLUSTER),
  ]);
  // It answers from the beginning: Cluster API looks for one that does not yet again after half a minute.
  const { hostname, port } = new URL(workload.plane.url);
  const endpoint = shell.with({ CAPREMOTE_CONTROL_PLANE_ENDPOINT: hostname, CAPREMOTE_CONTROL_PLANE_PORT: port });
  for (const line of await commandsOf(PAGE, 'Make a cluster', ['clusterctl', 'kubectl'])) await endpoint.must(line);
  await waitForFile(controller, '/var/log/kubeadm-init.yaml');
  await workload.initialize(VERSION);
  await client.waitForAll(remoteMachines, (all) => all.length === 3 && all.filter(isReady).length === 2);
  await Promise.all([controller, worker].map(joinNode));
  await client.waitForAll(machines, (all) => running(all) === 2);
  expect(await callsOf()).toEqual([['init'], ['join'], []]);
});

/** Lines without what differs from run to run: the tree's branches, which follow from random names, these, addresses, times and widths. */
const shapeOf = (text: string): string[] =>
  text
    .trim()
    .split('\n')
    .map((line) =>
      line
        .replace(/^[│├└─ ]+/, '')
        // From 1.14 on with namespace and version, and without what it is to its cluster.
        .replace(/^(?:\w+ - )?([A-Z]\w+)(?: default)?\/([^, ]+)(?:, v[\d.]+)?(?= |$)/, '$1/$2')
        .replaceAll(/\b(my-cluster-(?:workers|control-plane))(-[a-z0-9]{5})+\b/g, '$1-*')
        .replaceAll(/\b[\d.]+(?=:22\b)/g, '*')
        .replaceAll(/ (\d+[smh])+( |$)/g, ' * ')
        .replaceAll(/ +/g, ' ')
        .trim(),
    );

test('describe cluster, as the page shows it: the machine that waits says for what', async () => {
  const counts = ({ status }: AnyObject) => (status?.['workers'] as { availableReplicas?: number } | undefined)?.availableReplicas;
  await here.client.waitFor(objects.clusterRef('Cluster', CLUSTER), (cluster) => counts(cluster) === 1);
  const waits = (machine: AnyObject): boolean =>
    conditionOf(machine, 'InfrastructureReady')?.reason === 'WaitingForHost' &&
    conditionOf(machine, 'BootstrapConfigReady')?.status === 'True';
  await here.client.waitForAll(machines, (all) => all.some(waits));
  const shape = shapeOf(await shell.must(await command('See how it is', 'clusterctl describe'))).join('\n');
  // The page leaves out the lines between.
  for (const part of (await fencedOf(PAGE, 'See how it is', 'text')).split('…\n')) expect(shape).toContain(shapeOf(part).join('\n'));
});

describe('upgrade, while a bootstrap runs', () => {
  const kind = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', name: `remotemachines.${PREFIX}` };
  let run: string | undefined;

  beforeAll(async () => {
    // Its kubeadm begins when it may.
    await mustExec(second, 'mv /usr/local/bin/kubeadm /usr/local/bin/kubeadm-now');
    await installScript(second, '/usr/local/bin/kubeadm', `#!/bin/sh\n${lastsUntil(GO_ON)}\nexec kubeadm-now "$@"\n`);
    await here.client.apply(objects.entry('worker-1', 'workers', second));
    await waitForFile(second, `${GO_ON}.began`);
    [run] = (await here.client.list(remoteMachines)).filter((machine) => !isReady(machine)).map(runIDOf);
    await checkout.setVersion(LATER);
    const column = '      additionalPrinterColumns:\n        - name: Later\n          type: string\n          jsonPath: .spec.pool\n';
    const file = `manifests/crds/${PREFIX}_remotemachines.yaml`;
    await checkout.edit(file, (text) => text.replaceAll('      additionalPrinterColumns:\n', column));
    await checkout.release(IMAGE);
  });

  test('plan names the later release', async () => {
    const plan = await shell.must(await command('Upgrade', 'clusterctl upgrade plan'));
    expect(plan).toMatch(
      new RegExp(`^infrastructure-remote +${MANAGER.namespace} +InfrastructureProvider +v${project.version} +v${LATER}$`, 'm'),
    );
  });

  test('apply: the later manager runs with the later kinds, and nothing has run again', async () => {
    const start = performance.now();
    await shell.must(await command('Upgrade', 'clusterctl upgrade apply'));
    process.stdout.write(`upgraded ${seconds(start)} s after clusterctl upgrade apply began\n`);
    expect(await argsNow()).toContain('--concurrency=20');
    expect(await imagesNow()).toEqual([`${IMAGE}:v${LATER}`]);
    const [pod] = await here.kubelet.pods();
    expect(pod?.logs()).toContain(`"version":"${LATER}"`);
    expect(JSON.stringify((await here.client.get(kind)).spec)).toContain('"name":"Later"');
    expect(await callsOf()).toEqual([['init'], ['join'], []]);
  });

  test('the bootstrap that ran meanwhile ends ready', async () => {
    await second.exec(`touch ${GO_ON}`);
    const all = await here.client.waitForAll(remoteMachines, (found) => found.every(isReady));
    expect(all.map(runIDOf)).toContain(run);
    await joinNode(second);
    await here.client.waitForAll(machines, (found) => running(found) === 3);
    expect(await callsOf()).toEqual([['init'], ['join'], ['join']]);
  });
});

describe('move, between clusters that clusterctl initialized', () => {
  beforeAll(async () => {
    there = await startEmpty('there');
    await copyFile(here.plane.kubeconfig, join(folder, 'here.kubeconfig'));
    await copyFile(there.plane.kubeconfig, join(folder, 'there.kubeconfig'));
    await shell.must(await command('Move', 'clusterctl init'));
    await there.startManagers();
    await there.client.waitFor(deployment, isRolledOut);
  });

  test('there and back: everything is there and runs, and nothing has run again', async () => {
    for (const [from, to, line] of [
      [here, there, await command('Move', 'clusterctl move')],
      [there, here, 'clusterctl move --kubeconfig there.kubeconfig --to-kubeconfig here.kubeconfig'],
    ] as const) {
      await shell.must(line);
      await to.client.waitForAll(remoteMachines, (found) => found.length === 3 && found.every(isReady));
      await to.client.waitForAll(machines, (found) => running(found) === 3);
      expect(await from.client.list(remoteMachines)).toEqual([]);
      expect(await callsOf()).toEqual([['init'], ['join'], ['join']]);
    }
  });
});

describe('delete', () => {
  /** The page's commands: the manager alone, and all of it. */
  const [keep, all] = [0, 1].map((index) => async () => (await commandsOf(PAGE, 'Remove', ['clusterctl delete']))[index] ?? '') as [
    () => Promise<string>,
    () => Promise<string>,
  ];
  const initAgain = async () => shell.must((await command('Move', 'clusterctl init')).replace('--kubeconfig there.kubeconfig ', ''));

  async function identities(): Promise<string[]> {
    const kinds = ['RemoteCluster', 'RemoteMachine', 'RemoteMachineTemplate', 'PooledRemoteMachine'];
    const objectsOf = await Promise.all(kinds.map((kind) => here.client.list({ apiVersion: INFRASTRUCTURE, kind })));
    return objectsOf.flat().map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.uid}`);
  }

  /** Everything that clusterctl installed, by kind and name. */
  async function installed(): Promise<string[]> {
    const lists = [
      'crd,namespace,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding',
      'deployment,pod,serviceaccount,role,rolebinding,providers --all-namespaces',
    ];
    const get = (kinds: string) =>
      shell.must(`kubectl get ${kinds} --output name --selector cluster.x-k8s.io/provider=infrastructure-remote`);
    return (await Promise.all(lists.map(get))).join('').split('\n').filter(Boolean);
  }

  test('kinds are not taken from under objects: it is refused, and nothing changes', async () => {
    const before = [await identities(), await installed()];
    const { exitCode, stderr } = await shell.run(await all());
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('found existing objects for provider CRDs');
    expect([await identities(), await installed()]).toEqual(before);
    expect(isRolledOut(await here.client.get(deployment))).toBe(true);
  });

  test('the manager alone: kinds, objects and hosts stay as they are', async () => {
    const before = await identities();
    const definitions = (await installed()).filter((name) => name.startsWith('customresourcedefinition'));
    expect(definitions).toHaveLength(5);
    await shell.must(await keep());
    await here.client.waitForAll({ apiVersion: 'v1', kind: 'Pod', namespace: MANAGER.namespace }, (found) => found.length === 0);
    expect(await installed()).toEqual([...definitions, `namespace/${MANAGER.namespace}`]);
    expect(await identities()).toEqual(before);
    expect(await callsOf()).toEqual([['init'], ['join'], ['join']]);
  });

  test('a machine that is deleted meanwhile keeps its finalizer, until a manager is there again and cleans its host', async () => {
    const { client } = here;
    await client.patch(objects.clusterRef('MachineDeployment', `${CLUSTER}-workers`), { spec: { replicas: 1 } });
    const isLeaving = ({ metadata }: AnyObject): boolean => metadata.deletionTimestamp !== undefined;
    const found = await client.waitForAll(remoteMachines, (now) => now.some(isLeaving));
    expect(found.find(isLeaving)?.metadata.finalizers).toEqual([`remotemachine.${PREFIX}/finalizer`]);
    // Without a manager clusterctl knows no provider whose kinds it could delete.
    expect((await shell.run(await all())).stderr).toContain('failed to identify the namespace for the "remote" provider');
    expect(await callsOf()).toEqual([['init'], ['join'], ['join']]);
    await initAgain();
    await client.waitForAll(remoteMachines, (now) => now.length === 2);
    expect((await callsOf()).flat().sort()).toEqual(['init', 'join', 'join', 'reset']);
  });

  test('all of it, as the page says: the hosts are clean, and nothing is left', async () => {
    // Its manager looks for etcd on every control plane Node, for 15 s each time where there is none.
    await workload.client.delete(workload.node(controller.name));
    await here.client.waitForGone({ apiVersion: 'v1', kind: 'Namespace', name: 'flavours' });
    for (const line of await commandsOf(PAGE, 'Remove', ['kubectl'])) await shell.must(line);
    expect((await callsOf()).map(([, ...calls]) => calls)).toEqual([['reset'], ['reset'], ['reset']]);
    for (const host of [controller, worker, second]) expect(await host.exists('/var/lib/cluster-api-provider-remote/claim')).toBe(false);
    await shell.must(await all());
    await here.client.waitForGone({ apiVersion: 'v1', kind: 'Namespace', name: MANAGER.namespace });
    expect(await installed()).toEqual([]);
  });
});
