/** The chart on a management cluster, by the real Helm: installed, checked, upgraded, rolled back and uninstalled, with machines that run. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyObject } from '../env/client.ts';
import { IMAGE } from '../env/kubelet/image.ts';
import { isRolledOut } from '../env/kubelet/kubelet.ts';
import type { Host } from '../env/hosts.ts';
import { CHART, Helm } from '../fixtures/helm.ts';
import { lastsUntil, mustExec, waitForFile } from '../fixtures/hosts.ts';
import { type Management, startManagement } from '../fixtures/management.ts';
import { INFRASTRUCTURE, Objects } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, historic, historyOf, isCleaned, runIDOf } from '../fixtures/pool.ts';
import { Shell } from '../fixtures/shell.ts';
import { expectUsedOnce, makeWorkers, scaleWorkers } from '../fixtures/workers.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const NAMESPACE = 'capr-system';
const LATER = '0.9.0';
const environment = sharedEnvironment('helm');
const inRelease = ['--namespace', NAMESPACE, '--wait', '--timeout', '90s'];
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: NAMESPACE, name: 'capr' };
const DEFINITION = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' };
const machineKind = { ...DEFINITION, name: 'remotemachines.infrastructure.cluster.x-k8s.io' };

let management: Management;
let helm: Helm;
let objects: Objects;
let hosts: Host[];
/** In no pool. */
let others: Host[];
/** Each for one test. */
let [single, another]: Host[] = [];
let machines: AnyObject[];

beforeAll(async () => {
  const suite = environment();
  objects = new Objects('machines');
  [management, hosts, others, [single, another]] = await Promise.all([
    startManagement(suite, { namespace: NAMESPACE, alsoNamed: [IMAGE.replace(/:.*/, `:v${LATER}`)] }),
    suite.createHosts(2),
    suite.createHosts(3),
    suite.createHosts(2),
  ]);
  helm = await Helm.find(management.env, join(suite.state.run.folder, 'helm'));
  for (const name of [objects.namespace, 'others'])
    await management.client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
});
afterAll(() => management.stop());

async function argsNow(): Promise<string[]> {
  const { spec } = await management.client.get(deployment);
  return (spec as { template: { spec: { containers: [{ args: string[] }] } } }).template.spec.containers[0].args;
}
/** Whether the kind has the column that the later chart adds to it. */
const hasColumn = async (): Promise<boolean> => JSON.stringify((await management.client.get(machineKind)).spec).includes('"name":"Later"');

test('install --wait: ready within seconds, and it says what to do next', async () => {
  const start = performance.now();
  const output = await helm.must('install', 'capr', CHART, ...inRelease, '--create-namespace');
  process.stdout.write(`ready ${((performance.now() - start) / 1000).toFixed(1)} s after helm install began\n`);
  expect(output).toContain('STATUS: deployed');
  expect(output).toContain('helm test capr --namespace capr-system');
  expect(output).toContain('kind: PooledRemoteMachine');
});

const managers = async () => (await management.kubelet.pods()).filter(({ name }) => name !== 'capr-check');

/** The check's words, as `kubectl logs` would show them. */
async function checked(): Promise<string> {
  const pods = await management.kubelet.pods();
  return pods.find(({ name }) => name === 'capr-check')?.logs() ?? '';
}

test('helm test finds the kinds, every right, and a leader', async () => {
  expect(await helm.must('test', 'capr', '--namespace', NAMESPACE)).toContain('Phase:          Succeeded');
  const lines = (await checked()).trim().split('\n');
  expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([]);
  expect(lines).toContain('ok      may get secrets in all namespaces');
  expect(lines.at(-1)).toMatch(/^ok {6}capr-[a-z0-9-]+_[0-9a-f]+ leads$/);
});

test('helm test fails, and says so, where a right is missing', async () => {
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: `${NAMESPACE}-capr-manager` };
  const { rules } = (await management.client.get(role)) as unknown as { rules: { resources: string[] }[] };
  await management.client.patch(role, { rules: rules.filter(({ resources }) => resources[0] !== 'configmaps') });
  const { exitCode, stderr } = await helm.run('test', 'capr', '--namespace', NAMESPACE);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain('capr-check failed');
  expect(await checked()).toContain('MISSING may get configmaps in all namespaces: no. By name only: known hosts.\n');
  await management.client.patch(role, { rules });
});

test('machines of the samples’ pool are bootstrapped', async () => {
  await makeWorkers(management.client, objects, hosts);
  machines = await scaleWorkers(management.client, objects, 2);
});

/** Nothing ran on a host but one bootstrap of its machine, which is ready. */
async function expectUntouched(): Promise<void> {
  for (const { metadata } of machines) await management.client.waitForCondition(objects.ref('RemoteMachine', metadata.name), 'Ready');
  const runs = machines.map((machine) => `run ${runIDOf(machine)}`).sort();
  expect((await Promise.all(hosts.map(historyOf))).flat().sort()).toEqual(runs);
}

/** Machines whose bootstraps last until they are told to end. */
async function beginRuns(on: Host[], name: string): Promise<string[]> {
  const names = on.map((_, i) => `${name}-${i}`);
  const data = historic([lastsUntil('/run/e2e-may-end')]);
  for (const [i, name] of names.entries())
    await management.client.applyAll(objects.explicit(name, 'pooled', on[i] as Host, data, { cleanUpCommands }));
  await Promise.all(on.map((host) => waitForFile(host, '/run/e2e-may-end.began')));
  return names;
}

/** Lets them end: each ran once, and its machine is ready; deleted, they leave clean hosts. */
async function expectRunOnce(on: Host[], names: string[]): Promise<void> {
  const { client } = management;
  await Promise.all(on.map((host) => mustExec(host, 'touch /run/e2e-may-end')));
  const ended = await Promise.all(names.map((name) => client.waitForCondition(objects.ref('RemoteMachine', name), 'Ready')));
  expect(await Promise.all(on.map(historyOf))).toEqual(ended.map((machine) => [`run ${runIDOf(machine)}`]));
  for (const name of names) await client.delete(objects.clusterRef('Machine', name));
  for (const name of names) await client.waitForGone(objects.ref('RemoteMachine', name));
  expect(await Promise.all(on.map(isCleaned))).toEqual(on.map(() => true));
}

test('upgrade to a later chart: kinds, values and replicas follow, and bootstraps that run go on, once', async () => {
  const inFlight = await beginRuns(others, 'in-flight');
  const column = '      additionalPrinterColumns:\n        - name: Later\n          type: string\n          jsonPath: .spec.pool\n';
  const kind = 'files/crds/infrastructure.cluster.x-k8s.io_remotemachines.yaml';
  const chart = await helm.laterChart(LATER, { [kind]: (text) => text.replaceAll('      additionalPrinterColumns:\n', column) });
  expect(await hasColumn()).toBe(false);
  const values = [
    '--set',
    `image.tag=v${LATER},diagnostics.insecure=true,replicaCount=2,concurrency=4,logging.verbosity=2`,
    '--set',
    'podDisruptionBudget.enabled=true',
  ];
  await helm.must('upgrade', 'capr', chart, ...inRelease, ...values);
  expect(await hasColumn()).toBe(true);
  expect(await argsNow()).toEqual(expect.arrayContaining(['--concurrency=4', '--v=2']));
  expect(isRolledOut(await management.client.get(deployment))).toBe(true);
  // A Deployment is rolled out while a Pod of before still comes to its end.
  const isManager = ({ metadata: { name } }: AnyObject): boolean => name !== 'capr-check';
  const pod = { apiVersion: 'v1', kind: 'Pod', namespace: NAMESPACE };
  await management.client.waitForAll(pod, (found) => found.filter(isManager).length === 2);
  const pods = await managers();
  expect(pods).toHaveLength(2);
  const served = await Promise.all(pods.map(async ({ address }) => (await fetch(`http://${address}:8443/metrics`)).text()));
  for (const text of served) expect(text).toContain(`capremote_build_info{version="${LATER}"} 1`);
  await expectRunOnce(others, inFlight);
  await expectUntouched();
});

test('a leading Pod that is killed is replaced within 20 s, and the bootstrap that it followed ends, once', async () => {
  const { client } = management;
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace: NAMESPACE, name: 'capr-leader-election' };
  const holderOf = ({ spec }: AnyObject): string => (spec as { holderIdentity?: string } | undefined)?.holderIdentity ?? '';
  const on = [single as Host];
  const followed = await beginRuns(on, 'followed');
  const before = holderOf(await client.get(lease));
  const leader = (await managers()).find(({ name }) => before.startsWith(`${name}_`));
  if (leader === undefined) throw new Error(`no Pod is the holder of the Lease, ${before}`);
  const died = performance.now();
  await leader.kill();
  await client.waitFor(lease, (now) => !['', before].includes(holderOf(now)), 30_000);
  const took = performance.now() - died;
  process.stdout.write(`another Pod led ${(took / 1000).toFixed(1)} s after the leader's was killed\n`);
  expect(took).toBeLessThan(20_000);
  await expectRunOnce(on, followed);
});

test('an upgrade that is refused changes nothing', async () => {
  const before = await management.client.get(deployment);
  const { exitCode, stderr } = await helm.run(
    'upgrade',
    'capr',
    CHART,
    ...inRelease,
    '--set',
    'replicaCount=2,leaderElection.enabled=false',
  );
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain('leaderElection.enabled is off');
  expect((await management.client.get(deployment)).metadata.generation).toBe(before.metadata.generation);
});

test('rollback: kinds and values as they were', async () => {
  await helm.must('rollback', 'capr', '1', ...inRelease);
  expect(await hasColumn()).toBe(false);
  expect(await argsNow()).toEqual(expect.arrayContaining(['--concurrency=10', '--v=0']));
  await expectUntouched();
});

test('uninstall keeps kinds and objects; an install of the same release takes them over', async () => {
  const { client } = management;
  const output = await helm.must('uninstall', 'capr', ...inRelease);
  expect(output).toContain('These resources were kept due to the resource policy');
  expect(await client.find(deployment)).toBeUndefined();
  expect(await client.list({ apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine' })).toHaveLength(2);
  await helm.must('install', 'capr', CHART, ...inRelease);
  await expectUntouched();
  await scaleWorkers(client, objects, 0);
  await expectUsedOnce(hosts, machines);
});

describe('a release that watches some namespaces', () => {
  const watching = ['--set', `watchNamespaces={machines,others}`];

  test('has no right elsewhere, and passes its check', async () => {
    const notes = await helm.must('upgrade', 'capr', CHART, ...inRelease, ...watching);
    // Each command of the notes that is about objects which the manager sees to.
    const commands = notes.split('\n').filter((line) => / (secret|apply|remotemachines)/.test(line) && line.includes(' kubectl '));
    expect(commands.map((line) => line.trim().split(' ').slice(0, 3).join(' '))).toEqual(Array(4).fill('kubectl --namespace machines'));
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: `${NAMESPACE}-capr-manager` };
    const { rules } = (await management.client.get(role)) as unknown as { rules: { resources: string[] }[] };
    expect(rules.flatMap(({ resources }) => resources)).toEqual(['tokenreviews', 'subjectaccessreviews']);
    await helm.must('test', 'capr', '--namespace', NAMESPACE);
    expect(await checked()).toContain('ok      may get secrets in namespace others\n');
  });

  test('bootstraps a machine and cleans its host, by Roles alone', async () => {
    const on = [another as Host];
    await expectRunOnce(on, await beginRuns(on, 'by-roles'));
  });

  test('sees to entries there and nowhere else', async () => {
    const { client } = management;
    const entry = (namespace: string) => new Objects(namespace).entry('idle', 'idle', hosts[0] as Host, { sshKeyRef: { name: 'absent' } });
    await client.applyAll([entry('default'), entry('others')]);
    await client.waitFor(new Objects('others').ref('PooledRemoteMachine', 'idle'), (one) => conditionOf(one, 'Ready') !== undefined);
    expect((await client.get(new Objects('default').ref('PooledRemoteMachine', 'idle'))).status).toBeUndefined();
    for (const namespace of ['default', 'others']) await client.delete(new Objects(namespace).ref('PooledRemoteMachine', 'idle'));
  });
});

test('uninstall takes the kinds along where that was asked for', async () => {
  await helm.must('upgrade', 'capr', CHART, ...inRelease, '--set', 'crds.keep=false');
  await helm.must('uninstall', 'capr', ...inRelease);
  const left = (await management.client.list(DEFINITION)).filter(({ metadata }) =>
    metadata.name.endsWith('infrastructure.cluster.x-k8s.io'),
  );
  expect(left).toEqual([]);
});

test('kinds that kustomize brought are taken over where that was asked for', async () => {
  const shell = await Shell.open(join(CHART, '../..'), { KUBECONFIG: management.plane.kubeconfig });
  await shell.must('kubectl apply --server-side -k manifests/crds');
  const refused = await helm.run('install', 'capr', CHART, ...inRelease);
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stderr).toContain('invalid ownership metadata');
  await helm.must('install', 'capr', CHART, ...inRelease, '--take-ownership');
  expect((await management.client.get(machineKind)).metadata.annotations).toMatchObject({ 'meta.helm.sh/release-name': 'capr' });
  await helm.must('test', 'capr', '--namespace', NAMESPACE);
});

test('election can be turned off and on again, by an upgrade each', async () => {
  const strategy = async () => ((await management.client.get(deployment)).spec as { strategy: { type: string } }).strategy.type;
  for (const enabled of [false, true]) {
    await helm.must('upgrade', 'capr', CHART, ...inRelease, '--set', `leaderElection.enabled=${enabled}`);
    expect([await strategy(), (await argsNow()).includes('--leader-elect')]).toEqual([enabled ? 'RollingUpdate' : 'Recreate', enabled]);
  }
});

test('by server-side apply, too, as Argo CD does it', async () => {
  const shell = await Shell.open(join(CHART, '../..'), { KUBECONFIG: management.plane.kubeconfig });
  const strategies: unknown[] = [];
  for (const enabled of [true, false, true]) {
    const only = ['--show-only', 'templates/deployment.yaml', '--set', `leaderElection.enabled=${enabled}`];
    const file = join(helm.folder, 'deployment.yaml');
    await writeFile(file, await helm.must('template', 'applied', CHART, '--namespace', NAMESPACE, ...only));
    await shell.must(`kubectl apply --server-side --filename ${file}`);
    strategies.push(((await management.client.get({ ...deployment, name: 'applied' })).spec as { strategy: object }).strategy);
  }
  const rolling = { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } };
  expect(strategies).toEqual([rolling, { type: 'Recreate' }, rolling]);
});
