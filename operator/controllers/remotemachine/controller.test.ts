import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Request } from '../../framework/types.ts';
import { hostKeyFromBuffer } from '../../ssh/host-keys.ts';
import { outcome, PUBLIC_KEYS } from '../testing/executor.ts';
import { ADDRESS, cluster, CLUSTERS, entry, machine, NAMESPACE, owner, OWNERS, reserved, RUN, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { RemoteMachineReconciler } from './controller.ts';

const hostKey = hostKeyFromBuffer(Buffer.from(PUBLIC_KEYS[0].split(' ')[1] ?? '', 'base64'));
const signal = new AbortController().signal;
let world: World;
let reconciler: RemoteMachineReconciler;
/** The status writer's clock, so that what it holds back for a second comes at once. */
let clock = 0;

beforeEach(async () => {
  world = await World.start();
  reconciler = new RemoteMachineReconciler(world.deps);
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await world.stop();
});

async function reconcile(name = 'm') {
  const result = await reconciler.reconcile({ namespace: NAMESPACE, name }, { log: world.log, signal });
  await world.synced();
  return result;
}
/** Reconciles until nothing is held back, and tells the conditions as they are stored. */
async function told(...types: string[]): Promise<Record<string, string>> {
  await reconcile();
  clock += 20_000;
  await reconcile();
  const conditions = world.stored().status?.conditions ?? [];
  const wanted = conditions.filter(({ type }) => types.includes(type));
  return Object.fromEntries(wanted.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

describe('before a host is taken', () => {
  const waitsFor = (reason: string) => ({ HostReserved: `Unknown ${reason}`, Ready: `Unknown ${reason}` });

  test('it waits for its Machine, the Cluster and its infrastructure, in this order', async () => {
    await world.create(machine({ address: ADDRESS }));
    expect(await told('HostReserved', 'Ready')).toEqual(waitsFor('WaitingForOwnerMachine'));
    await world.create(owner());
    expect(await told('HostReserved', 'Ready')).toEqual(waitsFor('WaitingForCluster'));
    await world.create(cluster({}, {}));
    expect(await told('HostReserved', 'Ready')).toEqual(waitsFor('WaitingForClusterInfrastructure'));
    expect(world.stored().status?.conditions).toContainEqual(
      expect.objectContaining({ message: 'Waiting for Cluster c: RemoteCluster c is not ready' }),
    );
    expect(world.stored().metadata.finalizers).toBeUndefined();
  });

  test('then for the bootstrap data, with its host', async () => {
    const configRef = { kind: 'KubeadmConfig', name: 'k', apiGroup: 'bootstrap.cluster.x-k8s.io' };
    await world.create(machine({ address: ADDRESS }), owner({ bootstrap: { configRef } }), cluster());
    expect(await told('HostReserved', 'BootstrapExecSucceeded', 'Ready')).toEqual({
      HostReserved: 'True AddressGiven',
      BootstrapExecSucceeded: 'Unknown WaitingForBootstrapData',
      Ready: 'Unknown WaitingForBootstrapData',
    });
    const message = 'Waiting for bootstrap data from KubeadmConfig k of Machine m';
    expect(world.stored().status?.conditions).toContainEqual(expect.objectContaining({ message }));
    expect(world.executor.calls).toBe(0);
  });
});

test('a machine that waits is woken by what it waits for, and by no timer whose backoff grows meanwhile', async () => {
  const configRef = { kind: 'KubeadmConfig', name: 'k', apiGroup: 'bootstrap.cluster.x-k8s.io' };
  const stages: [string, Parameters<World['create']>[0]][] = [
    ['WaitingForOwnerMachine', machine({ pool: 'p' })],
    ['WaitingForCluster', owner({ bootstrap: { configRef } })],
    ['NoSuchPool', cluster()],
    ['WaitingForBootstrapData', entry('a')],
  ];
  for (const [reason, next] of stages) {
    await world.create(next);
    expect(await told('Ready')).toEqual({ Ready: `Unknown ${reason}` });
    expect(await reconcile()).toEqual({});
  }
});

describe('paused', () => {
  test.each([
    ['by its annotation', { 'cluster.x-k8s.io/paused': '' }, {}],
    ['by its Cluster', {}, { paused: true }],
  ])('%s: nothing is done, not even a deletion, and it is told', async (_name, annotations, spec) => {
    await world.create(...secrets(), owner(), cluster(spec), reserved({ address: ADDRESS }, { annotations }));
    expect(await told('Paused')).toEqual({ Paused: 'True Paused' });
    await world.delete(REMOTE_MACHINES, 'm');
    expect(await told('Paused', 'CleanedUp')).toEqual({ Paused: 'True Paused' });
    expect(world.executor.calls).toBe(0);
  });

  test('a run is followed no longer, and again afterwards', async () => {
    await world.create(...secrets(), owner(), cluster(), reserved());
    await reconcile();
    await world.until(() => world.executor.calls === 1);
    await world.patch(CLUSTERS, 'c', { spec: { paused: true } });
    await reconcile();
    expect(world.executor.bootstraps[0]?.work.signal.aborted).toBe(true);
    await world.patch(CLUSTERS, 'c', { spec: { paused: false } });
    await reconcile();
    await world.until(() => world.executor.calls === 2);
    expect(world.executor.bootstraps[1]?.request.claimant.runID).toBe(RUN);
  });
});

test('the way from a Secret to a provisioned machine', async () => {
  await world.create(...secrets(), owner(), cluster(), entry('a'), machine({ pool: 'p' }));
  expect(await told('HostReserved', 'HostReachable', 'Ready')).toEqual({
    HostReserved: 'True Reserved',
    HostReachable: 'Unknown Connecting',
    Ready: 'Unknown Connecting',
  });
  await world.until(() => world.executor.calls === 1);
  world.executor.bootstraps[0]?.end(outcome(hostKey));
  await world.ended(world.scope());
  await reconcile();
  expect(world.storedEntry('a').status).not.toHaveProperty('host');
  expect(world.stored()).toMatchObject({ spec: { providerID: `remote-machine://${ADDRESS}:22` }, status: { ready: true } });
  expect(await told('Ready', 'BootstrapExecSucceeded', 'HostReachable')).toEqual({
    Ready: 'True Provisioned',
    BootstrapExecSucceeded: 'True BootstrapSucceeded',
    HostReachable: 'True Reachable',
  });
  expect(world.storedEntry('a').status).toMatchObject({ reserved: true, host: { hostname: 'host' } });
});

test('a provisioned machine whose status was lost is ready again without SSH, Secrets or a Machine', async () => {
  await world.create(cluster(), reserved({ address: ADDRESS, providerID: `remote-machine://${ADDRESS}:22` }));
  const before = world.server.requests.length;
  expect(await told('Ready')).toEqual({ Ready: 'True Provisioned' });
  expect(world.stored().status).toMatchObject({ ready: true, initialization: { provisioned: true }, addresses: [{ address: ADDRESS }] });
  expect(world.executor.calls).toBe(0);
  expect(world.server.requests.slice(before).filter(({ path }) => path.includes('/secrets/'))).toEqual([]);
});

test('a retry leads to another run by itself', async () => {
  const status = { bootstrap: { phase: 'Failed', runID: RUN }, failureReason: 'BootstrapFailed', failureMessage: 'no' };
  await world.create(...secrets(), owner(), cluster(), reserved(undefined, { annotations: { [REQUEST.retry]: RUN }, status }));
  await reconcile();
  await world.until(() => world.executor.reclaims.length === 1);
  world.executor.reclaims[0]?.end({ outcome: 'Clean', ran: true, hostKey });
  await world.ended(world.scope());
  await reconcile();
  await world.until(() => world.executor.bootstraps.length === 1);
  const runID = world.stored().metadata.annotations?.[ANNOTATION.runID];
  expect(runID).not.toBe(RUN);
  expect(world.executor.bootstraps[0]?.request.claimant.runID).toBe(runID);
  expect(world.stored().status).not.toHaveProperty('bootstrap');
  expect(world.stored().status).not.toHaveProperty('failureReason');
});

test('a machine made anew under the same name has nothing of the old one', async () => {
  await world.create(...secrets(), owner(), cluster(), reserved());
  await reconcile();
  await world.until(() => world.executor.calls === 1);
  await world.patch(REMOTE_MACHINES, 'm', { metadata: { finalizers: [] } });
  await world.delete(REMOTE_MACHINES, 'm');
  await world.create(reserved({ address: '10.0.0.2' }));
  await reconcile();
  expect(world.executor.bootstraps[0]?.work.signal.aborted).toBe(true);
  await world.until(() => world.executor.calls === 2);
  expect(world.executor.bootstraps[1]?.access.target.address).toBe('10.0.0.2');
});

test('an object of another watch filter is left alone', async () => {
  await world.create(machine({ address: ADDRESS }));
  world.deps.settings.watchFilter = 'other';
  expect(await reconcile()).toBeUndefined();
  expect(world.stored().status).toBeUndefined();
});

test('an object that is given to another watch filter is let go of, with its connection', async () => {
  world.deps.settings.watchFilter = 'mine';
  const labels = { 'cluster.x-k8s.io/watch-filter': 'mine' };
  await world.create(...secrets(), owner(), cluster(), reserved(undefined, { labels }));
  await reconcile();
  await world.until(() => world.executor.calls === 1);
  await world.patch(REMOTE_MACHINES, 'm', { metadata: { labels: { 'cluster.x-k8s.io/watch-filter': 'other' } } });
  await reconcile();
  expect(world.executor.bootstraps[0]?.work.signal.aborted).toBe(true);
  await world.patch(REMOTE_MACHINES, 'm', { metadata: { labels } });
  await reconcile();
  await world.until(() => world.executor.calls === 2);
});

/** Whatever provisioning waits for or stumbles over. */
const gates: Record<string, () => Parameters<World['create']>> = {
  'its Machine is gone': () => [cluster(), ...secrets()],
  'its Cluster is gone': () => [owner(), ...secrets()],
  'its Machine and its Cluster are gone': () => secrets(),
  "its Cluster's infrastructure is not ready": () => [owner(), cluster({}, {}), ...secrets()],
  'its Machine names no bootstrap data': () => [owner({ bootstrap: {} }), cluster(), ...secrets()],
  'its bootstrap Secret is gone': () => [owner(), cluster(), ...secrets().slice(0, 1)],
  'its bootstrap data is no YAML': () => [owner(), cluster(), ...secrets('#cloud-config\nruncmd: [')],
};
test.each(Object.entries(gates))('deleted while %s, a machine goes once its host is clean', async (_name, objects) => {
  await world.create(...objects(), reserved());
  await world.delete(REMOTE_MACHINES, 'm');
  await reconcile();
  await world.until(() => world.executor.reclaims.length === 1);
  world.executor.reclaims[0]?.end({ outcome: 'Clean', ran: true, hostKey });
  await world.ended(world.scope());
  await reconcile();
  expect(world.machines.get(NAMESPACE, 'm')).toBeUndefined();
});

test.each([
  ['before a run', false],
  ['before a cleanup', true],
])('the end of the manager %s is no failure of the machine', async (_name, deleted) => {
  await world.create(owner(), cluster(), ...secrets(), reserved());
  if (deleted) await world.delete(REMOTE_MACHINES, 'm');
  const request = { namespace: NAMESPACE, name: 'm' };
  const ended = AbortSignal.abort(new Error('the manager stops'));
  await expect(reconciler.reconcile(request, { log: world.log, signal: ended })).rejects.toThrow('the manager stops');
  await world.synced();
  expect(JSON.stringify(world.stored().status ?? {})).not.toContain('the manager stops');
  expect(world.executor.calls + world.executor.reclaims.length).toBe(0);
});

describe('what wakes a machine', () => {
  let woken: string[];
  beforeEach(() => {
    woken = [];
    const queue = { add: ({ name }: Request) => void woken.push(name), addAfter: () => undefined };
    const on = reconciler.watch(queue);
    world.machines.onChange(on.machines);
    world.entries.onChange(on.entries);
    world.owners.onChange(on.owners);
    world.clusters.onChange(on.clusters);
  });
  const taken = { reserved: true, machineRef: { name: 'x', namespace: NAMESPACE } };
  const changes = async (change: () => Promise<unknown>): Promise<string[]> => {
    await world.synced();
    woken = [];
    await change();
    return [...new Set(woken)];
  };

  test('its Machine', async () => {
    expect(
      await changes(() =>
        world.create(owner({ infrastructureRef: { kind: 'RemoteMachine', name: 'm', apiGroup: 'infrastructure.cluster.x-k8s.io' } })),
      ),
    ).toEqual(['m']);
    expect(await changes(() => world.patch(OWNERS, 'm', { spec: { infrastructureRef: { kind: 'DockerMachine' } } }))).toEqual([]);
  });

  test('its Cluster, where it is paused or its infrastructure ready', async () => {
    await world.create(machine({}, { labels: { 'cluster.x-k8s.io/cluster-name': 'c' } }), cluster({}, {}));
    expect(await changes(() => world.patch(CLUSTERS, 'c', { metadata: { labels: { a: 'b' } } }))).toEqual([]);
    expect(await changes(() => world.patch(CLUSTERS, 'c', { spec: { paused: true } }))).toEqual(['m']);
    const provisioned = { status: { initialization: { infrastructureProvisioned: true } } };
    expect(await changes(() => world.patch(CLUSTERS, 'c', provisioned, 'status'))).toEqual(['m']);
  });

  test("its entry's spec and annotations, and the loss of its reservation; nothing else of its status", async () => {
    await world.create(entry('a', {}, {}, taken), reserved({ pool: 'p' }, { annotations: { [ANNOTATION.poolEntry]: 'a' } }));
    expect(await changes(() => world.patch(POOLED_REMOTE_MACHINES, 'a', { spec: { machine: { user: 'admin' } } }))).toEqual(['m']);
    expect(await changes(() => world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { x: 'y' } } }))).toEqual(['m']);
    const status = (body: object) => changes(() => world.patch(POOLED_REMOTE_MACHINES, 'a', { status: body }, 'status'));
    expect(await status({ host: { hostname: 'h' } })).toEqual([]);
    expect(await status({ reserved: false, machineRef: null })).toContain('m');
  });

  test('an entry of its pool that is free, and the end of a machine with its host', async () => {
    await world.create(owner(), cluster(), entry('a', {}, {}, taken), machine({ pool: 'p' }));
    await reconcile();
    expect(
      await changes(() => world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { reserved: false, machineRef: null } }, 'status')),
    ).toEqual(['m']);

    await world.create(
      machine(
        { address: '10.0.0.9' },
        { name: 'first', creationTimestamp: '2020-01-01T00:00:00Z', annotations: { [ANNOTATION.runID]: 'r' } },
      ),
    );
    await world.patch(REMOTE_MACHINES, 'm', { spec: { pool: null, address: '10.0.0.9' } });
    await reconcile();
    expect(await changes(() => world.delete(REMOTE_MACHINES, 'first'))).toEqual(expect.arrayContaining(['m']));
  });
});
