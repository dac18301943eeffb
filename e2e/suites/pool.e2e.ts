/** The samples' pool under a real MachineDeployment: machines come and go, hosts are taken in order, cleaned, and used again. */
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import { Objects, INFRASTRUCTURE } from '../fixtures/objects.ts';
import {
  conditionOf,
  type Entry,
  entryOf,
  historic,
  historyOf,
  isCleaned,
  isFree,
  isReady,
  poolSample,
  runIDOf,
} from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const POOL = 'default';
const environment = sharedEnvironment('pool');
let objects: Objects;
let hosts: Host[];
/** Entry -> run IDs of the machines that had it, in order. */
const runs = new Map<string, string[]>();

const entryName = (i: number): string => `remote-test-${i}`;
const host = (i: number): Host => hosts[i] as Host;
const machines = () => ({ apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', namespace: objects.namespace });
const entries = () => ({ ...machines(), kind: 'PooledRemoteMachine' });
const scale = (replicas: number) => environment().client.patch(objects.clusterRef('MachineDeployment', 'workers'), { spec: { replicas } });

/** Waits until so many machines are ready, and notes who has which entry. */
async function waitForReady(count: number): Promise<AnyObject[]> {
  const { client } = environment();
  const bound = await client.waitForAll(machines(), (all) => all.filter(isReady).length === count);
  for (const machine of bound.filter(isReady)) {
    const name = entryOf(machine) ?? '';
    const runID = runIDOf(machine) ?? '';
    const known = runs.get(name) ?? [];
    if (!known.includes(runID)) runs.set(name, [...known, runID]);
  }
  return bound;
}

beforeAll(async () => {
  objects = new Objects(environment().namespace);
  const started = environment().startOperator({ namespace: objects.namespace, args: ['-v', '2'] });
  [hosts] = await Promise.all([environment().createHosts(5), started]);
  const [first] = hosts;
  if (first === undefined) throw new Error('no host');
  const { template, entry } = await poolSample(objects.namespace);
  await environment().client.applyAll([
    objects.sshKey('pool-key', first),
    objects.bootstrapData('workers', historic()),
    ...objects.cluster('pooled'),
    template,
    // Neither the order of creation nor that of addresses counts.
    ...[3, 1, 0, 2].map((i) => entry(entryName(i), host(i))),
  ]);
});

test('three replicas of a pool of four take the first three by name', async () => {
  const { client } = environment();
  const from = { template: 'remote-test-template', dataSecretName: 'workers', replicas: 3 };
  await client.apply(objects.machineDeployment('workers', 'pooled', from));
  const bound = await waitForReady(3);
  expect(bound.map(entryOf).sort()).toEqual([0, 1, 2].map(entryName));
  for (const machine of bound) {
    const { address } = host(Number(entryOf(machine)?.at(-1)));
    expect(machine.spec).toMatchObject({ pool: POOL, address, providerID: `remote-machine://${address}:22` });
    const entry = await client.get<Entry>({ ...entries(), name: entryOf(machine) ?? '' });
    const { name, namespace, uid } = machine.metadata;
    expect(entry.status).toMatchObject({ reserved: true, machineRef: { name, namespace, uid } });
  }
  const held = await client.waitForAll<Entry>(
    entries(),
    (all) => all.filter(({ metadata }) => metadata.finalizers?.length === 1).length === 3,
  );
  expect(held.map(({ status }) => status?.reserved === true)).toEqual([true, true, true, false]);
});

test('a fourth takes the last one, and a fifth waits and says for what', async () => {
  const { client } = environment();
  await scale(4);
  expect((await waitForReady(4)).map(entryOf).sort()).toEqual([0, 1, 2, 3].map(entryName));
  await scale(5);
  const all = await client.waitForAll(machines(), (found) =>
    found.some((one) => conditionOf(one, 'HostReserved')?.reason === 'WaitingForHost'),
  );
  const waiting = all.find((machine) => entryOf(machine) === undefined);
  expect(conditionOf(waiting, 'HostReserved')).toMatchObject({
    status: 'Unknown',
    message: expect.stringContaining(`Waiting for a free host of pool "${POOL}"`) as string,
  });
  expect(conditionOf(waiting, 'Ready')?.status).toBe('Unknown');
  expect(waiting?.spec?.['address']).toBeUndefined();
});

test('the fifth has its host within 2 s of an entry being added', async () => {
  const { client } = environment();
  const { entry } = await poolSample(objects.namespace);
  const isBound = (machine: AnyObject): boolean => entryOf(machine) === entryName(4) && machine.spec?.['address'] === hosts[4]?.address;
  const bound = client.waitForAll(machines(), (all) => all.some(isBound));
  await client.create(entry(entryName(4), host(4)));
  const created = performance.now();
  await bound;
  const seconds = (performance.now() - created) / 1000;
  process.stdout.write(`a waiting machine was bound ${seconds.toFixed(3)} s after its entry was created\n`);
  expect(seconds).toBeLessThan(2);
  const ready = await waitForReady(5);
  expect(new Set(ready.map(entryOf)).size).toBe(5);
});

test('hosts of deleted machines are cleaned, free and used again', async () => {
  const { client } = environment();
  await scale(1);
  const [left] = await client.waitForAll(machines(), (all) => all.length === 1);
  const kept = left === undefined ? undefined : entryOf(left);
  const after = await client.waitForAll<Entry>(entries(), (all) => all.filter(isFree).length === 4);
  const free = after.filter(isFree).map(({ metadata }) => metadata.name);
  expect(free).not.toContain(kept);
  for (const name of free) {
    const cleaned = host(Number(name.at(-1)));
    expect(await isCleaned(cleaned)).toBe(true);
    expect((await historyOf(cleaned)).at(-1)).toBe('clean');
  }
  await scale(4);
  const again = await waitForReady(4);
  const expected = [kept, ...free.sort().slice(0, 3)].sort();
  expect(again.map(entryOf).sort()).toEqual(expected);
});

test('after the last one every host is free, and each ran exactly one bootstrap a machine', async () => {
  const { client } = environment();
  await client.delete(objects.clusterRef('MachineDeployment', 'workers'));
  await client.waitForAll(machines(), (all) => all.length === 0);
  await client.waitForAll<Entry>(entries(), (all) => all.length === 5 && all.every(isFree));
  for (const [i, each] of hosts.entries()) {
    expect(await isCleaned(each)).toBe(true);
    const expected = (runs.get(entryName(i)) ?? []).flatMap((runID) => [`run ${runID}`, 'clean']);
    expect({ host: i, history: await historyOf(each) }).toEqual({ host: i, history: expected });
  }
  expect([...runs.values()].flat()).toHaveLength(8);
});
