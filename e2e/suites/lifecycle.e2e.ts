/** The life of clusters and machines off the straight way: paused, and deleted in every order and whatever is missing. */
import type { AnyObject, NamedReference } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import { loginsOf } from '../fixtures/hosts.ts';
import { Objects, PREFIX } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, historic, historyOf, isCleaned, isFree } from '../fixtures/pool.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('lifecycle');
let objects: Objects;
let reports: Reports;
let hosts: Host[];

beforeAll(async () => {
  const { client, namespace, createHosts, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  [hosts] = await Promise.all([createHosts(9), startOperator({ namespace, args: ['-v', '2'] })]);
  await client.apply(objects.sshKey('pool-key', host(0)));
});

function host(index: number): Host {
  const found = hosts[index];
  if (found === undefined) throw new Error(`the suite has no host ${index}`);
  return found;
}
const secret = (name: string): NamedReference => ({ apiVersion: 'v1', kind: 'Secret', namespace: objects.namespace, name });
/** For the log of the run; Jest would add where it was called. */
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);
const reasonOf = (type: string, reason: string) => (object: Entry) => conditionOf(object, type)?.reason === reason;

/** A Machine with bootstrap data, which takes a host of the pool. */
const pooled = (name: string, cluster: string, pool: string, metadata: object = {}) => [
  objects.bootstrapData(name, historic()),
  objects.remoteMachine(name, { pool }, metadata),
  objects.machine(name, cluster),
];

const setPaused = (cluster: string, paused: boolean) =>
  environment().client.patch(objects.clusterRef('Cluster', cluster), { spec: { paused } });

test('a RemoteCluster with nothing in its spec is ready', async () => {
  const { client } = environment();
  const manifests = objects
    .cluster('empty')
    .map((manifest) => (manifest.kind === 'RemoteCluster' ? { ...manifest, spec: undefined } : manifest));
  await client.applyAll(manifests);
  const isProvisioned = ({ status }: AnyObject) =>
    (status?.['initialization'] as Record<string, unknown> | undefined)?.['infrastructureProvisioned'] === true;
  await client.waitFor(objects.clusterRef('Cluster', 'empty'), isProvisioned);
  const remote = await client.waitForCondition(objects.ref('RemoteCluster', 'empty'), 'Ready');
  expect(remote.spec).toBeUndefined();
  expect(remote.status).toMatchObject({ ready: true, initialization: { provisioned: true } });
  await client.delete(objects.clusterRef('Cluster', 'empty'));
  await client.waitForGone(objects.clusterRef('Cluster', 'empty'));
  await client.waitForGone(objects.ref('RemoteCluster', 'empty'));
});

describe('paused', () => {
  beforeAll(async () => {
    await environment().client.applyAll([...objects.cluster('halted'), ...objects.cluster('lively')]);
  });

  test('a machine that waits for a host takes none, and another one that waits behind it does', async () => {
    const { client } = environment();
    await client.applyAll(pooled('first', 'halted', 'few'));
    await client.waitFor(machine('first'), reasonOf('HostReserved', 'NoSuchPool'));
    await setPaused('halted', true);
    const paused = await client.waitForCondition(machine('first'), 'Paused');
    expect(conditionOf(paused, 'Paused')).toMatchObject({ reason: 'Paused', message: 'Paused: Cluster halted is paused' });
    const cluster = await client.waitForCondition(objects.ref('RemoteCluster', 'halted'), 'Paused');
    expect(conditionOf(cluster, 'Ready')?.status).toBe('True');

    await client.applyAll(pooled('second', 'lively', 'few'));
    await client.waitFor(machine('second'), reasonOf('HostReserved', 'NoSuchPool'));
    await client.apply(objects.entry('few-0', 'few', host(0), { cleanUpCommands }));
    await client.waitForCondition(machine('second'), 'Ready');
    expect((await client.get(machine('first'))).metadata.annotations?.[`${PREFIX}/pool-entry`]).toBeUndefined();

    await client.apply(objects.entry('few-1', 'few', host(1), { cleanUpCommands }));
    await client.waitForCondition(entry('few-1'), 'Ready');
    await reports.operatorHasSeen('few-1');
    expect(await loginsOf(host(1))).toBe(0);
    await setPaused('halted', false);
    await client.waitForCondition(machine('first'), 'Ready');
    await client.waitFor(machine('first'), reasonOf('Paused', 'NotPaused'));
  });

  test.each<[string, string, (on: boolean) => Promise<unknown>]>([
    ['first', 'its Cluster', (on) => setPaused('halted', on)],
    [
      'second',
      'an annotation',
      (on) => environment().client.patch(machine('second'), { metadata: { annotations: { 'cluster.x-k8s.io/paused': on ? '' : null } } }),
    ],
  ])('the %s machine, paused by %s and deleted, keeps its host, which nobody contacts, until it goes on', async (name, _, set) => {
    const { client } = environment();
    const place = name === 'first' ? host(1) : host(0);
    await set(true);
    await client.waitForCondition(machine(name), 'Paused');
    const logins = await loginsOf(place);
    await client.delete(machine(name));
    await reports.operatorHasSeen(name);
    expect(await loginsOf(place)).toBe(logins);
    expect(await isCleaned(place)).toBe(false);
    await set(false);
    await expectGivenBack(name, place);
  });
});

/** The machine is gone, its host was cleaned once, and some entry of the host is free. */
async function expectGivenBack(name: string, place: Host): Promise<void> {
  const { client } = environment();
  await client.waitForGone(machine(name));
  expect(await historyOf(place)).toEqual([expect.stringMatching(`^run ${name}-`), 'clean']);
  expect(await isCleaned(place)).toBe(true);
  const entries = await client.list<Entry>({ ...entry(''), name: undefined } as never);
  const own = entries.find(({ spec }) => (spec?.['machine'] as { address: string }).address === place.address);
  await client.waitFor<Entry>(entry(own?.metadata.name ?? ''), isFree);
}

describe('deleted', () => {
  const cluster = (name: string) => objects.clusterRef('Cluster', name);
  const capiMachine = (name: string) => objects.clusterRef('Machine', name);

  /** What is deleted, and in which order. Every machine has the name of its cluster and pool. */
  const orders: Record<string, (name: string) => Promise<void>> = {
    'the Machine first': (name) => environment().client.delete(capiMachine(name)),
    'the RemoteMachine first': (name) => environment().client.delete(machine(name)),
    'the Cluster first': (name) => environment().client.delete(cluster(name)),
    'with its Cluster gone before': async (name) => {
      await setPaused(name, true);
      await environment().client.waitForCondition(machine(name), 'Paused');
      await environment().client.deleteByForce(cluster(name));
      await environment().client.delete(machine(name));
    },
    'with its Machine gone before': async (name) => {
      await setPaused(name, true);
      await environment().client.waitForCondition(machine(name), 'Paused');
      await environment().client.deleteByForce(capiMachine(name));
      await setPaused(name, false);
    },
    'with its Machine, its Cluster and its bootstrap Secret gone before': async (name) => {
      const { client } = environment();
      await setPaused(name, true);
      await client.waitForCondition(machine(name), 'Paused');
      await client.delete(secret(name));
      await client.deleteByForce(capiMachine(name));
      await client.deleteByForce(cluster(name));
    },
    'with its bootstrap Secret gone before': async (name) => {
      await environment().client.delete(secret(name));
      await environment().client.delete(machine(name));
    },
  };
  const named = Object.entries(orders).map(([what, how], index) => ({ what, how, name: `order-${index}`, index: index + 2 }));

  beforeAll(async () => {
    const { client } = environment();
    await Promise.all(
      named.map(({ name, index }) =>
        client.applyAll([
          ...objects.cluster(name),
          objects.entry(name, name, host(index), { cleanUpCommands }),
          ...pooled(name, name, name),
        ]),
      ),
    );
    await Promise.all(named.map(({ name }) => client.waitForCondition(machine(name), 'Ready')));
  });

  test.each(named)('$what, a machine leaves a clean host', async ({ how, name, index }) => {
    await how(name);
    await expectGivenBack(name, host(index));
  });

  test('the Cluster first: everything of it goes', async () => {
    const { client } = environment();
    await client.waitForGone(capiMachine('order-2'));
    await client.waitForGone(objects.ref('RemoteCluster', 'order-2'));
    await client.waitForGone(cluster('order-2'));
  });

  test('a machine that never got a host goes at once', async () => {
    const { client } = environment();
    await client.applyAll([...objects.cluster('poor'), ...pooled('poor', 'poor', 'no-such-pool')]);
    await client.waitFor(machine('poor'), reasonOf('HostReserved', 'NoSuchPool'));
    await client.delete(cluster('poor'));
    await client.waitForGone(machine('poor'));
    await client.waitForGone(cluster('poor'));
  });

  test('a machine that waits for its bootstrap data has a host that nobody ever contacts', async () => {
    const { client, createHost } = environment();
    const place = await createHost();
    await client.applyAll([
      ...objects.cluster('early'),
      objects.entry('early', 'early', place),
      // A config that nobody fills.
      {
        apiVersion: 'bootstrap.cluster.x-k8s.io/v1beta2',
        kind: 'KubeadmConfig',
        metadata: { namespace: objects.namespace, name: 'early' },
      },
      objects.remoteMachine('early', { pool: 'early' }),
      objects.machine('early', 'early', {
        bootstrap: { configRef: { apiGroup: 'bootstrap.cluster.x-k8s.io', kind: 'KubeadmConfig', name: 'early' } },
      }),
    ]);
    const waiting = await client.waitFor(machine('early'), reasonOf('BootstrapExecSucceeded', 'WaitingForBootstrapData'));
    expect(conditionOf(waiting, 'HostReserved')).toMatchObject({ status: 'True', reason: 'Reserved' });
    await client.delete(capiMachine('early'));
    await client.waitForGone(machine('early'));
    await client.waitFor<Entry>(entry('early'), isFree);
    expect(await loginsOf(place)).toBe(0);
    expect(await place.exists('/var/lib/cluster-api-provider-remote')).toBe(false);
  });

  test('with the SSH key gone, the machine goes at its deadline, and its entry stays in quarantine until the key is back', async () => {
    const { client, createHost } = environment();
    const place = await createHost();
    const key = { ...objects.sshKey('keyless-key', place) };
    await client.applyAll([
      ...objects.cluster('keyless'),
      key,
      objects.entry('keyless', 'keyless', place, { cleanUpCommands, sshKeyRef: { name: 'keyless-key' } }),
      ...pooled('keyless', 'keyless', 'keyless', { annotations: { [`${PREFIX}/cleanup-deadline`]: '8s' } }),
    ]);
    await client.waitForCondition(machine('keyless'), 'Ready');
    await client.delete(secret('keyless-key'));
    await client.delete(capiMachine('keyless'));
    await client.waitFor(machine('keyless'), reasonOf('CleanedUp', 'SecretNotFound'));
    await client.waitForGone(machine('keyless'), 10_000);
    const quarantined = await client.waitFor<Entry>(
      entry('keyless'),
      ({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Clean' && value === 'False') === true,
    );
    expect(quarantined.status?.reserved).toBe(true);
    expect(conditionOf(quarantined, 'Ready')).toMatchObject({ status: 'False', reason: 'Quarantined' });
    expect(await isCleaned(place)).toBe(false);
    // Nobody gets it meanwhile.
    await client.applyAll(pooled('next', 'keyless', 'keyless'));
    await client.waitFor(machine('next'), reasonOf('HostReserved', 'WaitingForHost'));
    await client.apply(key);
    await client.waitForCondition(machine('next'), 'Ready');
    const history = await historyOf(place);
    expect(history).toEqual([expect.stringMatching('^run keyless-'), 'clean', expect.stringMatching('^run next-')]);
  });
});

describe('a namespace', () => {
  const doomed = sharedEnvironment('lifecycle-namespace');

  test('that is deleted goes although the key went first and nothing can be cleaned any more', async () => {
    const { client, namespace, createHost, startOperator } = doomed();
    const own = new Objects(namespace);
    const [place] = await Promise.all([createHost(), startOperator({ namespace, name: 'operator-namespace' })]);
    await client.applyAll([
      own.sshKey('pool-key', place),
      ...own.cluster('lost'),
      own.entry('lost', 'lost', place, { cleanUpCommands }),
      own.bootstrapData('lost', historic()),
      own.remoteMachine('lost', { pool: 'lost' }),
      own.machine('lost', 'lost'),
    ]);
    await client.waitForCondition(own.ref('RemoteMachine', 'lost'), 'Ready');
    await client.delete({ apiVersion: 'v1', kind: 'Secret', namespace, name: 'pool-key' });
    const started = performance.now();
    await client.delete({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
    // Not by the deadline, which is ten minutes. The namespace controller and Cluster API core look again after up to thirty seconds each.
    await client.waitForGone({ apiVersion: 'v1', kind: 'Namespace', name: namespace }, 180_000);
    print(`a namespace without its key was gone after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
});
