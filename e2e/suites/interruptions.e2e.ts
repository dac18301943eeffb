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
  const names = ['killed', 'followed', 'unseen', 'cleaned', 'dark'];
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
  await client.waitForGone(machine(name), 60_000);
  await client.waitFor<Entry>(objects.ref('PooledRemoteMachine', name), isFree);
  expect(await historyOf(host(name))).toEqual([expect.stringMatching(`^run ${name}-`), 'clean']);
  expect(await isCleaned(host(name))).toBe(true);
}

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
  const waiting = await client.waitFor(
    machine('dark'),
    (object) => ['HostUnreachable', 'ConnectTimeout'].includes(conditionOf(object, 'CleanedUp')?.reason ?? ''),
    60_000,
  );
  expect(waiting.metadata.deletionTimestamp).toBeDefined();
  expect(conditionOf(waiting, 'CleanedUp')?.message).toContain(place.address);
  await place.start();
  await expectGone('dark');
});
