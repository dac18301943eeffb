/** What is cut off in the middle: a run by its deletion, the operator by a kill, a cleanup by a power cut. */
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { lastsUntil, waitForFile } from '../fixtures/hosts.ts';
import { Objects } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, historic, historyOf, isCleaned, isFree } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const RUN = '/var/tmp/e2e-run';
const CLEANUP = '/var/tmp/e2e-cleanup';
const environment = sharedEnvironment('interruptions');
let objects: Objects;
let hosts: Record<string, Host>;
let operator: Operator;

const startOperator = async () => {
  operator = await environment().startOperator({ namespace: objects.namespace, args: ['-v', '2', '--ssh-connect-timeout=3s'] });
};
const machine = (name: string) => objects.ref('RemoteMachine', name);
const host = (name: string): Host => hosts[name] as Host;

/** A machine on the host of its name, whose bootstrap and cleanup last until they are let go. */
const lasting = (name: string) => [
  objects.entry(name, name, host(name), { cleanUpCommands: [...cleanUpCommands, lastsUntil(CLEANUP)] }),
  objects.bootstrapData(name, historic([lastsUntil(RUN)])),
  objects.remoteMachine(name, { pool: name }),
  objects.machine(name, 'main'),
];
const letGo = (name: string, path: string) => host(name).exec(`touch ${path}`);

beforeAll(async () => {
  const { client, namespace, createHost } = environment();
  objects = new Objects(namespace);
  const names = ['stopped', 'paused', 'killed', 'followed', 'unseen', 'cleaned', 'dark'];
  const made = await Promise.all(names.map(async (name) => [name, await createHost()] as const));
  hosts = Object.fromEntries(made);
  await startOperator();
  await client.applyAll([objects.sshKey('pool-key', host('killed')), ...objects.cluster('main')]);
  await Promise.all(names.map((name) => client.applyAll(lasting(name))));
  await Promise.all(names.map((name) => waitForFile(host(name), `${RUN}.began`)));
});

/** The machine is gone, and its host went through one run and one cleanup and has nothing left. */
async function expectGone(name: string): Promise<void> {
  const { client } = environment();
  await client.waitForGone(machine(name));
  await client.waitFor<Entry>(objects.ref('PooledRemoteMachine', name), isFree);
  expect(await historyOf(host(name))).toEqual([expect.stringMatching(`^run ${name}-`), 'clean']);
  expect(await isCleaned(host(name))).toBe(true);
}

test('an operator that is told to stop ends in seconds, and the next one follows what it left running', async () => {
  const { client } = environment();
  const metrics = await operator.metrics();
  expect(metrics).toMatch(/^controller_runtime_reconcile_total\{controller="remotemachine",result="success"\} [1-9]/m);
  const started = performance.now();
  expect(await operator.stop()).toBe(0);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(await historyOf(host('stopped'))).toEqual([expect.stringMatching('^run stopped-')]);
  await letGo('stopped', RUN);
  await waitForFile(host('stopped'), '/run/cluster-api/bootstrap-success.complete');
  await startOperator();
  await client.waitForCondition(machine('stopped'), 'Ready');
  expect(await historyOf(host('stopped'))).toHaveLength(1);
});

test('a machine that is paused in the middle of its run: the run goes on, and is followed again afterwards', async () => {
  const { client } = environment();
  const pause = (paused: string | null) =>
    client.patch(machine('paused'), { metadata: { annotations: { 'cluster.x-k8s.io/paused': paused } } });
  await pause('');
  await client.waitForCondition(machine('paused'), 'Paused');
  await letGo('paused', RUN);
  await waitForFile(host('paused'), '/run/cluster-api/bootstrap-success.complete');
  expect(conditionOf(await client.get(machine('paused')), 'Ready')?.status).toBe('Unknown');
  await pause(null);
  await client.waitForCondition(machine('paused'), 'Ready');
  expect(await historyOf(host('paused'))).toHaveLength(1);
});

test('a machine that is deleted in the middle of its run: the run is killed, and only then the host cleaned', async () => {
  const { client } = environment();
  const place = host('killed');
  await client.delete(objects.clusterRef('Machine', 'killed'));
  await waitForFile(place, `${CLEANUP}.began`);
  expect((await place.exec(`cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep '[e]2e-run; do'`)).stdout).toBe('');
  expect(await place.exists('/run/cluster-api/bootstrap-success.complete')).toBe(false);
  await letGo('killed', CLEANUP);
  await expectGone('killed');
});

test('an operator that is killed in the middle of bootstraps follows those that go on and reads those that ended meanwhile', async () => {
  const { client } = environment();
  const isRunning = (object: AnyObject) => (object.status?.['bootstrap'] as { phase?: string } | undefined)?.phase === 'Running';
  const before = await client.waitFor(machine('followed'), isRunning);
  await operator.kill();
  await letGo('unseen', RUN);
  await waitForFile(host('unseen'), '/run/cluster-api/bootstrap-success.complete');
  await startOperator();
  await client.waitForCondition(machine('unseen'), 'Ready');
  expect(conditionOf(await client.get(machine('followed')), 'Ready')?.status).toBe('Unknown');
  await letGo('followed', RUN);
  const after = await client.waitForCondition(machine('followed'), 'Ready');
  expect(after.metadata.annotations).toMatchObject(before.metadata.annotations ?? {});
  for (const name of ['followed', 'unseen']) expect(await historyOf(host(name))).toEqual([expect.stringMatching(`^run ${name}-`)]);
});

test('an operator that is killed in the middle of a cleanup goes on with it', async () => {
  const { client } = environment();
  await letGo('cleaned', RUN);
  await client.waitForCondition(machine('cleaned'), 'Ready');
  await client.delete(objects.clusterRef('Machine', 'cleaned'));
  await waitForFile(host('cleaned'), `${CLEANUP}.began`);
  await operator.kill();
  await letGo('cleaned', CLEANUP);
  await startOperator();
  await expectGone('cleaned');
});

test('a machine that is deleted while its host is off waits for it, says so, and the host is cleaned when it is back', async () => {
  const { client } = environment();
  const place = host('dark');
  await letGo('dark', RUN);
  await client.waitForCondition(machine('dark'), 'Ready');
  await letGo('dark', CLEANUP);
  await place.powerCut();
  await client.delete(objects.clusterRef('Machine', 'dark'));
  const waiting = await client.waitFor(machine('dark'), (object) =>
    ['HostUnreachable', 'ConnectTimeout'].includes(conditionOf(object, 'CleanedUp')?.reason ?? ''),
  );
  expect(waiting.metadata.deletionTimestamp).toBeDefined();
  expect(conditionOf(waiting, 'CleanedUp')?.message).toContain(place.address);
  await place.start();
  await expectGone('dark');
});
