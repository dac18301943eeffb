/** Which entry of a pool a machine gets, which it never gets, and what entries and machines say about it. */
import { findPrograms } from '../env/binaries.ts';
import type { AnyObject, Manifest } from '../env/client.ts';
import { must } from '../env/command.ts';
import type { Host } from '../env/hosts.ts';
import { Objects, PREFIX } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, entryOf, historic, historyOf, isFree, isReady } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('pool-placement');
let objects: Objects;
/** Every test has hosts and a pool of its own, as an address is one host in whichever pool; so they run side by side. */
let spare: Host[];

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

beforeAll(async () => {
  objects = new Objects(environment().namespace);
  const started = environment().startOperator({ namespace: objects.namespace, args: ['-v', '2', '--ssh-connect-timeout=2s'] });
  [spare] = await Promise.all([environment().createHosts(17), started]);
  await environment().client.applyAll([
    objects.sshKey('pool-key', spare[0] as Host),
    objects.bootstrapData('data', historic()),
    ...objects.cluster('placed', {
      failureDomains: [
        { name: 'a', controlPlane: true },
        { name: 'b', attributes: { rack: 'r7' } },
      ],
    }),
  ]);
});

const takeHosts = (count: number): Host[] => spare.splice(0, count);
const entry = (name: string, pool: string, host: Host | undefined, spec: object = {}, metadata: object = {}): Manifest =>
  objects.entry(name, pool, host as Host, { cleanUpCommands }, spec, metadata);

/** A machine that wants a host of the pool. */
const wanting = (name: string, pool: string, spec: object = {}, owner: object = {}): Manifest[] => [
  objects.remoteMachine(name, { pool, ...spec }),
  objects.machine(name, 'placed', { bootstrap: { dataSecretName: 'data' }, ...owner }),
];
/** A machine that names its host itself. */
const naming = (name: string, host: Host | undefined): Manifest[] => [
  objects.remoteMachine(name, { address: host?.address, sshKeyRef: { name: 'pool-key' }, cleanUpCommands }),
  objects.machine(name, 'placed', { bootstrap: { dataSecretName: 'data' } }),
];

const ready = (name: string): Promise<AnyObject> => environment().client.waitFor(objects.ref('RemoteMachine', name), isReady);
const entryWhere = (name: string, predicate: (entry: Entry) => boolean): Promise<Entry> =>
  environment().client.waitFor<Entry>(objects.ref('PooledRemoteMachine', name), predicate);

/** Waits until the machine says that it waits, with this reason, and returns what it says. */
async function waits(name: string, reason: string, status = 'Unknown'): Promise<string> {
  const says = (object: AnyObject): boolean => conditionOf(object, 'HostReserved')?.reason === reason;
  const machine = await environment().client.waitFor(objects.ref('RemoteMachine', name), says);
  expect(conditionOf(machine, 'HostReserved')?.status).toBe(status);
  expect(conditionOf(machine, 'Ready')).toMatchObject({ status, reason });
  expect(entryOf(machine)).toBeUndefined();
  return conditionOf(machine, 'HostReserved')?.message ?? '';
}

/** Deletes the machines and waits until they are gone, as are their claims on entries. */
async function remove(...names: string[]): Promise<void> {
  const { client } = environment();
  await Promise.all(names.map((name) => client.delete(objects.clusterRef('Machine', name))));
  await Promise.all(names.map((name) => client.waitForGone(objects.ref('RemoteMachine', name))));
}

test.concurrent('failure domains of the RemoteCluster reach the Cluster', async () => {
  const { client } = environment();
  const cluster = await client.waitFor(objects.clusterRef('Cluster', 'placed'), ({ status }) => status?.['failureDomains'] !== undefined);
  expect(cluster.status?.['failureDomains']).toEqual([
    { name: 'a', controlPlane: true },
    { name: 'b', controlPlane: false, attributes: { rack: 'r7' } },
  ]);
});

test.concurrent('a machine of a failure domain takes entries of that one only, and waits for one', async () => {
  const { client } = environment();
  const [a, b, c] = takeHosts(3);
  await client.applyAll([
    entry('fd-0-a', 'fd', a, { failureDomain: 'a' }),
    entry('fd-1-b', 'fd', b, { failureDomain: 'b' }),
    ...wanting('fd-first', 'fd', {}, { failureDomain: 'b' }),
  ]);
  const first = await ready('fd-first');
  expect(entryOf(first)).toBe('fd-1-b');
  expect(first.status).toMatchObject({ failureDomain: 'b' });
  await client.applyAll(wanting('fd-second', 'fd', {}, { failureDomain: 'b' }));
  const message = await waits('fd-second', 'WaitingForHost');
  expect(message).toContain('failure domain "b" of pool "fd"');
  expect(message).toContain('1 in another failure domain, 1 reserved');
  await client.applyAll([entry('fd-2-b', 'fd', c, { failureDomain: 'b' })]);
  expect(entryOf(await ready('fd-second'))).toBe('fd-2-b');
  expect((await client.get<Entry>(objects.ref('PooledRemoteMachine', 'fd-0-a'))).status?.reserved).not.toBe(true);
});

test.concurrent(
  "an entry's labels and annotations reach its machine, never over what is there, and never what is the entry's own",
  async () => {
    const { client } = environment();
    const [host] = takeHosts(1);
    const own = {
      [LAST_APPLIED]: '{}',
      'clusterctl.cluster.x-k8s.io/delete-for-move': 'x',
      'cluster.x-k8s.io/x': 'x',
      [`${PREFIX}/x`]: 'x',
    };
    const labels = {
      rack: 'r7',
      tier: 'entry',
      zone: 'entry',
      'clusterctl.cluster.x-k8s.io/move': '',
      'cluster.x-k8s.io/x': 'x',
      [`${PREFIX}/x`]: 'x',
    };
    const [remote, owner] = wanting('labelled', 'labels') as [Manifest, Manifest];
    await client.applyAll([
      { ...remote, metadata: { ...remote.metadata, labels: { tier: 'machine' }, annotations: { note: 'of the machine' } } },
      { ...owner, metadata: { ...owner.metadata, labels: { zone: 'owner' } } },
      entry('labelled-0', 'labels', host, {}, { labels, annotations: { note: 'of the entry', 'example.com/serial': 'S1', ...own } }),
    ]);
    const machine = await ready('labelled');
    expect(machine.metadata.labels).toMatchObject({ rack: 'r7', tier: 'machine', zone: 'entry' });
    expect(machine.metadata.annotations).toMatchObject({ note: 'of the machine', 'example.com/serial': 'S1' });
    const machineOf = objects.clusterRef('Machine', 'labelled');
    const served = await client.waitFor(machineOf, ({ metadata }) => metadata.labels?.['rack'] !== undefined);
    expect(served.metadata.labels).toMatchObject({ rack: 'r7', tier: 'entry', zone: 'owner' });
    expect(served.metadata.annotations).toMatchObject({ note: 'of the entry', 'example.com/serial': 'S1' });
    for (const { metadata } of [machine, served]) {
      for (const key of Object.keys(own)) expect(metadata.annotations).not.toHaveProperty([key]);
      for (const key of ['clusterctl.cluster.x-k8s.io/move', 'cluster.x-k8s.io/x', `${PREFIX}/x`])
        expect(metadata.labels).not.toHaveProperty([key]);
    }
  },
);

test.concurrent('a paused entry is passed over, and used once it is not paused', async () => {
  const { client } = environment();
  const [a, b] = takeHosts(2);
  await client.applyAll([
    entry('paused-0', 'paused', a, {}, { annotations: { 'cluster.x-k8s.io/paused': '' } }),
    entry('paused-1', 'paused', b),
    ...wanting('paused-first', 'paused'),
  ]);
  expect(entryOf(await ready('paused-first'))).toBe('paused-1');
  await client.applyAll(wanting('paused-second', 'paused'));
  expect(await waits('paused-second', 'WaitingForHost')).toContain('2 in it, 1 paused, 1 reserved');
  expect(conditionOf(await entryWhere('paused-0', (one) => conditionOf(one, 'Paused')?.status === 'True'), 'Paused')?.reason).toBe(
    'Paused',
  );
  await client.patch(objects.ref('PooledRemoteMachine', 'paused-0'), { metadata: { annotations: { 'cluster.x-k8s.io/paused': null } } });
  expect(entryOf(await ready('paused-second'))).toBe('paused-0');
  expect(conditionOf(await entryWhere('paused-0', (one) => conditionOf(one, 'Paused')?.status === 'False'), 'Paused')?.status).toBe(
    'False',
  );
});

test.concurrent(
  'a host that cannot be reached is passed over while another is free, and used when it is back and the only one',
  async () => {
    const { client } = environment();
    const [off, deaf, fine] = takeHosts(3) as [Host, Host, Host];
    await Promise.all([off.powerCut(), deaf.stopSSHD()]);
    await client.applyAll([
      entry('reach-0-off', 'reach', off),
      entry('reach-1-deaf', 'reach', deaf),
      entry('reach-2-fine', 'reach', fine),
      ...wanting('reach-first', 'reach'),
    ]);
    expect(entryOf(await ready('reach-first'))).toBe('reach-2-fine');
    const unreachable = (one: Entry): boolean => conditionOf(one, 'Reachable')?.status === 'False' && one.status?.reserved === false;
    const seen = await Promise.all([entryWhere('reach-0-off', unreachable), entryWhere('reach-1-deaf', unreachable)]);
    expect(seen.map((one) => conditionOf(one, 'Reachable')?.reason)).toEqual([
      expect.stringMatching(/^(HostUnreachable|ConnectTimeout)$/) as string,
      'ConnectionRefused',
    ]);
    for (const one of seen)
      expect(conditionOf(one, 'Ready')).toMatchObject({ status: 'False', reason: conditionOf(one, 'Reachable')?.reason });
    await client.applyAll(wanting('reach-second', 'reach'));
    const tried = await client.waitFor(
      objects.ref('RemoteMachine', 'reach-second'),
      (one) => conditionOf(one, 'HostReachable')?.status === 'False',
    );
    expect(conditionOf(tried, 'Ready')?.status).toBe('Unknown');
    await deaf.startSSHD();
    const started = performance.now();
    expect(entryOf(await ready('reach-second'))).toBe('reach-1-deaf');
    process.stdout.write(`the only host that is back was used after ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
    const back = await entryWhere('reach-1-deaf', (one) => conditionOf(one, 'Reachable')?.status === 'True');
    expect(conditionOf(back, 'Ready')).toMatchObject({ status: 'True', reason: 'Reserved' });
    expect(await historyOf(fine)).toHaveLength(1);
    expect(await historyOf(deaf)).toHaveLength(1);
  },
);

test.concurrent('an entry whose host a machine names by its address is not handed out until that machine is gone', async () => {
  const { client } = environment();
  const [host] = takeHosts(1) as [Host];
  await client.applyAll(naming('explicit', host));
  await ready('explicit');
  await client.applyAll([entry('explicit-0', 'explicit', host), ...wanting('explicit-pooled', 'explicit')]);
  expect(await waits('explicit-pooled', 'WaitingForHost')).toContain('1 in it, 1 taken');
  const taken = await entryWhere('explicit-0', (one) => conditionOf(one, 'Ready')?.status === 'False');
  expect(conditionOf(taken, 'Ready')).toMatchObject({
    reason: 'DuplicateHost',
    message: expect.stringContaining(`RemoteMachine ${objects.namespace}/explicit names the same host ${host.address}:22`) as string,
  });
  await remove('explicit');
  expect(entryOf(await ready('explicit-pooled'))).toBe('explicit-0');
  expect((await historyOf(host)).map((line) => line.split(' ')[0])).toEqual(['run', 'clean', 'run']);
});

test.concurrent('of two entries with one host the older is served, and the other once that is gone', async () => {
  const { client } = environment();
  const [host] = takeHosts(1) as [Host];
  await client.applyAll([entry('twin-1-older', 'twins', host)]);
  await entryWhere('twin-1-older', (one) => conditionOf(one, 'Ready')?.status === 'True');
  await client.applyAll([entry('twin-0-younger', 'twins', host), ...wanting('twin-first', 'twins')]);
  // Times of creation have whole seconds: names decide between entries of one second, and a reserved one is always first.
  const served = entryOf(await ready('twin-first')) ?? '';
  const other = served === 'twin-1-older' ? 'twin-0-younger' : 'twin-1-older';
  const duplicate = await entryWhere(other, (one) => conditionOf(one, 'Ready')?.status === 'False');
  expect(conditionOf(duplicate, 'Ready')).toMatchObject({
    reason: 'DuplicateHost',
    message: expect.stringContaining(`PooledRemoteMachine ${objects.namespace}/${served} has the same host ${host.address}:22`) as string,
  });
  await client.applyAll(wanting('twin-second', 'twins'));
  expect(await waits('twin-second', 'WaitingForHost')).toMatch(/2 in it, 1 (duplicate, 1 reserved|reserved, 1 duplicate)/);
  await client.delete(objects.ref('PooledRemoteMachine', served));
  // In use, it stays until its machine is gone; then the host is cleaned and the other entry serves.
  expect((await client.get(objects.ref('PooledRemoteMachine', served))).metadata.deletionTimestamp).toBeDefined();
  await remove('twin-first');
  await client.waitForGone(objects.ref('PooledRemoteMachine', served));
  expect(entryOf(await ready('twin-second'))).toBe(other);
  expect((await historyOf(host)).map((line) => line.split(' ')[0])).toEqual(['run', 'clean', 'run']);
});

test.concurrent('of two machines with one address the first is served, and the other once that is gone', async () => {
  const { client } = environment();
  const [host] = takeHosts(1) as [Host];
  await client.applyAll(naming('same-first', host));
  await ready('same-first');
  await client.applyAll(naming('same-second', host));
  expect(await waits('same-second', 'DuplicateHost')).toContain(
    `RemoteMachine ${objects.namespace}/same-first has the same host ${host.address}:22`,
  );
  await remove('same-first');
  await ready('same-second');
  expect((await historyOf(host)).map((line) => line.split(' ')[0])).toEqual(['run', 'clean', 'run']);
});

test.concurrent('a pool and an address pick that very entry, or wait for it', async () => {
  const { client } = environment();
  const [a, b, unknown] = takeHosts(3) as [Host, Host, Host];
  const wantsB = { address: b.address };
  await client.applyAll([entry('very-0', 'very', a), entry('very-1', 'very', b), ...wanting('very-first', 'very', wantsB)]);
  expect(entryOf(await ready('very-first'))).toBe('very-1');
  await client.applyAll([...wanting('very-second', 'very', wantsB), ...wanting('very-third', 'very', wantsB)]);
  expect(await waits('very-second', 'WaitingForHost')).toContain('1 with another address');
  expect(await waits('very-third', 'WaitingForHost')).toContain('1 with another address');
  await client.applyAll(wanting('very-unknown', 'very', { address: unknown.address }));
  expect(await waits('very-unknown', 'AddressNotInPool', 'False')).toContain(`${unknown.address}:22`);
  await remove('very-first');
  const { apiVersion, kind, namespace } = objects.ref('RemoteMachine', '');
  const next = await client.waitForAll({ apiVersion, kind, namespace }, (all) =>
    all.some((one) => /^very-(second|third)$/.test(one.metadata.name) && isReady(one)),
  );
  expect(next.filter((one) => entryOf(one) === 'very-1')).toHaveLength(1);
  expect(await historyOf(a)).toEqual([]);
});

test('what kubectl get shows of entries is what somebody looks for', async () => {
  const { kubectl } = await findPrograms(['kubectl'], () => undefined);
  await entryWhere('fd-0-a', isFree);
  const kubeconfig = `--kubeconfig=${environment().controlPlane.kubeconfig}`;
  const table = await must(kubectl, [kubeconfig, '-n', objects.namespace, 'get', 'prm', 'fd-0-a', 'fd-1-b', '-o', 'wide']);
  const [head = '', ...rows] = table.trim().split('\n');
  expect(head.split(/\s+/)).toEqual(['NAME', 'POOL', 'ADDRESS', 'RESERVED', 'MACHINE', 'READY', 'CLEAN', 'REASON', 'AGE']);
  const columns = [...head.matchAll(/\S+/g)].map(({ index }) => index);
  const cells = (row: string): string[] => columns.map((from, i) => row.slice(from, columns[i + 1]).trim()).slice(0, -1);
  expect(rows.map(cells)).toEqual([
    ['fd-0-a', 'fd', expect.stringMatching(/^10\./), 'false', '', 'True', 'True', 'Available'],
    ['fd-1-b', 'fd', expect.stringMatching(/^10\./), 'true', 'fd-first', 'True', 'True', 'Reserved'],
  ]);
});
