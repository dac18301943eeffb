/** The manager as it is shipped: bundled, for all namespaces, several of it behind one lease, and the flags that the other suites do not use. */
import { must } from '../env/command.ts';
import type { Manifest } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { lastsUntil, mustExec, waitForFile } from '../fixtures/hosts.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { conditionOf } from '../fixtures/pool.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const SYSTEM = 'cluster-api-provider-remote-system';
const LEASE = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  namespace: SYSTEM,
  name: 'controller-leader-election-cluster-api-provider-remote',
};
const environment = sharedEnvironment('manager');
let objects: Objects;
let managers: Operator[];
let hosts: Host[];
const labelled = (manifest: Manifest): Manifest => {
  const labels = { 'cluster.x-k8s.io/watch-filter': objects.namespace };
  return manifest.kind.startsWith('Remote') ? { ...manifest, metadata: { ...manifest.metadata, labels } } : manifest;
};

const start = (name: string) =>
  environment().startOperator({
    name: `${name}-${objects.namespace}`,
    program: 'dist/manager.js',
    args: [
      '--leader-elect',
      `--leader-election-namespace=${SYSTEM}`,
      `--watch-filter=${objects.namespace}`,
      '--concurrency=1',
      '--bootstrap-timeout=5s',
    ],
  });

/** Without the label that leaves it to these managers. */
const unlabelled = (name: string, host: Host, data = counting()) =>
  objects.explicit(name, 'shipped', host, data, { cleanUpCommands: ['rm -f /var/log/e2e-runs'] });
const explicit = (name: string, host: Host, data?: string) => unlabelled(name, host, data).map(labelled);

beforeAll(async () => {
  const { client, namespace, createHosts } = environment();
  objects = new Objects(namespace);
  await must(process.execPath, ['operator/bundle.ts']);
  [hosts, managers] = await Promise.all([createHosts(6), Promise.all([start('a'), start('b')])]);
  await client.applyAll(objects.cluster('shipped').map(labelled));
});

const host = (index: number): Host => hosts[index] as Host;
const leads = (manager: Operator): boolean => manager.logs().includes('"msg":"leading"');
const ready = (name: string) => environment().client.waitForCondition(objects.ref('RemoteMachine', name), 'Ready');

test('one of two leads, and sees to what is labelled for it', async () => {
  const { client } = environment();
  await client.applyAll(explicit('labelled', host(0)));
  await ready('labelled');
  expect(await runsOf(host(0))).toBe(1);
  expect(managers.map(leads).filter(Boolean)).toHaveLength(1);
});

test('what carries another label or none is left alone', async () => {
  const { client } = environment();
  await client.applyAll(unlabelled('unlabelled', host(1)));
  // By the time that one which came later is ready.
  await client.applyAll(explicit('later', host(2)));
  await ready('later');
  expect((await client.get(objects.ref('RemoteMachine', 'unlabelled'))).status).toBeUndefined();
  expect(await runsOf(host(1))).toBe(0);
});

test('a run has as long as --bootstrap-timeout says', async () => {
  const { client } = environment();
  await client.applyAll(explicit('slow', host(3), counting(['sleep 4711'])));
  await new Reports(client, objects).expect('slow', {
    type: 'BootstrapExecSucceeded',
    status: 'False',
    reason: 'BootstrapTimedOut',
    says: ['runcmd[1] did not end in time', `${PREFIX}/retry=`],
    ready: 'False',
  });
  expect((await host(3).exec('pgrep -f "sleep 471[1]"')).stdout).toBe('');
});

/** The leader and the one that stands by. */
const inOrder = () => managers.toSorted((a, b) => Number(leads(b)) - Number(leads(a))) as [Operator, Operator];
const isHeldBy = (text: string) => (lease: { spec?: Record<string, unknown> }) => {
  const holder = lease.spec?.['holderIdentity'];
  return typeof holder === 'string' && holder !== '' && text.includes(holder);
};

/** A machine whose run lasts until it is told to end, and may take longer than --bootstrap-timeout says. */
async function lasting(name: string, on: Host): Promise<void> {
  const annotations = { [`${PREFIX}/bootstrap-timeout`]: '2m' };
  await environment().client.applyAll(
    explicit(name, on, counting([lastsUntil('/run/e2e-may-end')])).map((manifest) =>
      manifest.kind === 'RemoteMachine' ? { ...manifest, metadata: { ...manifest.metadata, annotations } } : manifest,
    ),
  );
  await waitForFile(on, '/run/e2e-may-end.began');
}

/** Its run ends, and was the only one. */
async function endsOnce(name: string, on: Host): Promise<void> {
  await mustExec(on, 'touch /run/e2e-may-end');
  await ready(name);
  expect(await runsOf(on)).toBe(1);
}

test('a leader that dies is replaced within 20 s, and the run that it followed is followed to its end', async () => {
  const { client } = environment();
  const [leader, other] = inOrder();
  await client.waitFor(LEASE, isHeldBy(leader.logs()));
  await lasting('followed', host(4));
  const died = performance.now();
  await leader.kill();
  await client.waitFor(LEASE, (lease) => isHeldBy(other.logs())(lease) && leads(other), 30_000);
  const took = performance.now() - died;
  process.stdout.write(`another manager led ${(took / 1000).toFixed(1)} s after the leader was killed\n`);
  expect(took).toBeLessThan(20_000);
  await endsOnce('followed', host(4));
  managers = [other, await start('c')];
});

test('a leader that is frozen until another one leads ends when it comes to, and the run that it followed goes on, once', async () => {
  const { client } = environment();
  const [leader, other] = inOrder();
  await client.waitFor(LEASE, isHeldBy(leader.logs()));
  await lasting('thawed', host(5));
  process.kill(leader.process.pid, 'SIGSTOP');
  await client.waitFor(LEASE, (lease) => isHeldBy(other.logs())(lease) && leads(other));
  process.kill(leader.process.pid, 'SIGCONT');
  expect(await leader.process.waitForEnd()).toBe(1);
  expect(leader.logs()).toContain('leader lease');
  await endsOnce('thawed', host(5));
  managers = [other, await start('d')];
});

test('a leader that is told to stop hands over at once', async () => {
  const { client } = environment();
  const [leader, other] = inOrder();
  await client.waitFor(LEASE, isHeldBy(leader.logs()));
  const started = performance.now();
  expect(await leader.stop()).toBe(0);
  await client.waitFor(LEASE, (lease) => isHeldBy(other.logs())(lease) && leads(other));
  // The lease itself runs for 15 s.
  expect(performance.now() - started).toBeLessThan(10_000);
  await client.delete(objects.clusterRef('Machine', 'labelled'));
  await client.waitForGone(objects.ref('RemoteMachine', 'labelled'));
  expect(await runsOf(host(0))).toBe(0);
  const failed = await client.get(objects.ref('RemoteMachine', 'slow'));
  expect(conditionOf(failed, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapTimedOut' });
});
