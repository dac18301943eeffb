import { ANNOTATION, ENTRY_FINALIZER } from '../../../apis/infrastructure/group.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Resource } from '../../framework/types.ts';
import type { Claimant } from '../../runner/types.ts';
import { StoppedClock } from '../testing/clock.ts';
import { ADDRESS, cluster, CLUSTERS, entry, machine, NAMESPACE, RUN, secret } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { CLEAN, clusterIn, dirty, EntryDriver, held, left, LIVING, quarantined, unsettled } from './testing.ts';

const MOVED = 'clusterctl.cluster.x-k8s.io/delete-for-move';
const KEY = secret('key', { value: 'a private key' });
let clock: StoppedClock;
let world: World;
let driver: EntryDriver;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  driver = new EntryDriver(world);
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

const create = (...objects: Parameters<World['create']>): Promise<void> => world.create(LIVING, KEY, cluster(), ...objects);

describe('whose claim is cleaned', () => {
  const holder = (runID: string, uid: string, name = 'm', namespace = NAMESPACE): Claimant => ({
    runID,
    machine: { namespace, name, uid },
  });

  test.each<[string, ReturnType<typeof entry>, Claimant[], Claimant[]]>([
    [
      'of a quarantined entry the run that the quarantine names, and what its machine ran',
      quarantined(),
      [holder(RUN, 'x'), holder('m-2', 'gone')],
      [holder('m-2', 'x')],
    ],
    [
      'of one whose machine another operator had bootstrapped the run that was made for its cleanup',
      quarantined({}, `adopted/${RUN}`),
      [holder(RUN, 'x')],
      [holder(`adopted/${RUN}`, 'x'), holder('m-2', 'x')],
    ],
    [
      'of one whose status is lost the run that the quarantine names',
      entry('a', {}, { annotations: { [ANNOTATION.quarantined]: RUN } }),
      [holder(RUN, 'x')],
      [holder('m-2', 'gone')],
    ],
    [
      'of an absent machine what it ran, and not what one of its name ran for another management cluster',
      left(),
      [holder(RUN, 'gone', 'x')],
      [holder(RUN, 'x'), holder(RUN, 'x', 'other')],
    ],
    ["of k0smotron's, which is known by name alone, nothing", entry('a', {}, {}, held()), [], [holder(RUN, 'x')]],
    ['of a host that somebody else had claimed nothing', dirty(), [], [holder(RUN, 'gone'), holder('theirs', 'u')]],
    ['of one that was reserved before its status was lost nothing', unsettled(), [], [holder(RUN, 'gone')]],
  ])('%s', async (_name, object, ours, others) => {
    await create(object);
    const { isOurs, access } = await driver.started();
    expect(ours.map(isOurs)).toEqual(ours.map(() => true));
    expect(others.map(isOurs)).toEqual(others.map(() => false));
    expect(access.target).toMatchObject({ address: ADDRESS, user: 'root', privateKey: 'a private key' });
    expect(await driver.reconcile()).toBeUndefined();
    expect(world.executor.calls).toBe(1);
  });
});

describe('whose host is cleaned', () => {
  const status = (uid: string | undefined): Promise<void> => {
    const { reserved, machineRef } = held(uid);
    return world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { reserved, machineRef: { ...machineRef, uid: uid ?? null } } }, 'status');
  };

  test.each([
    ['is bound to the entry', { annotations: { [ANNOTATION.poolEntry]: 'a' } }],
    ["is named by the status alone, as k0smotron's provider writes it", {}],
    ['is being deleted', { annotations: { [ANNOTATION.poolEntry]: 'a' }, finalizers: ['example.com/other'] }],
  ])('not that of a machine which %s', async (_name, extra) => {
    await create(machine({ pool: 'p' }, extra), entry('a'));
    if ('finalizers' in extra) await world.delete(REMOTE_MACHINES, 'm');
    for (const uid of [world.stored().metadata.uid, undefined]) {
      await status(uid);
      expect(await driver.reconcile()).toBeUndefined();
      expect(driver.phase()).toBeUndefined();
      expect(driver.told()).toMatchObject({ Ready: 'True Reserved' });
    }
    expect(world.server.requests.filter(({ path }) => path.endsWith('/remotemachines/m'))).toEqual([]);
  });

  test.each([
    ['went on to another entry before it gave this one back', true, { [ANNOTATION.poolEntry]: 'b' }],
    ['is gone, though another one has its name', false, {}],
  ])('that of a machine which %s', async (_name, isIt, annotations) => {
    await create(machine({ pool: 'p' }, { annotations }), entry('a'));
    await status(isIt ? world.stored().metadata.uid : 'gone');
    await driver.started();
  });

  test.each([
    ['in quarantine', quarantined({ [MOVED]: '' })],
    ['whose machine is gone', left({ annotations: { [MOVED]: '' } })],
  ])('not that of an entry %s which is moved away', async (_name, object) => {
    await create(object);
    await driver.reconcile();
    expect(driver.phase()).toBeUndefined();
  });
});

describe('while the machine may live on elsewhere its host is left alone', () => {
  const paused = { paused: true };
  /** Of a machine whose Cluster is not known. */
  const ofUnknown = () => entry('a', {}, { finalizers: [ENTRY_FINALIZER] }, held('gone'));

  test.each<[string, [Resource, object][], RegExp]>([
    ['as a Cluster of the namespace is paused', [left(), cluster(), clusterIn(NAMESPACE, 'other', paused)], /Cluster other is paused/],
    ['as its own Cluster is gone, too', [left(), clusterIn(NAMESPACE, 'other', {})], /its Cluster c is gone/],
    ['as there is no Cluster', [clusterIn('elsewhere', 'c', {}), ofUnknown()], /no Cluster in namespace ns/],
  ])('%s, and it is told what is awaited', async (_name, objects, why) => {
    await world.create(LIVING, KEY, ...objects);
    expect(await driver.reconcile()).toBeUndefined();
    expect(driver.told()).toMatchObject({ Clean: 'Unknown MachineAbsent', Ready: 'Unknown MachineAbsent', Paused: 'False NotPaused' });
    expect(driver.message('Clean')).toMatch(/^RemoteMachine ns\/m, which has the host, is gone without having cleaned it/);
    expect(driver.message('Clean')).toMatch(why);
    await driver.reconcile();
    expect(world.events.all).toEqual([
      { type: 'Warning', reason: 'MachineAbsent', kind: 'PooledRemoteMachine', name: 'a', note: driver.message('Clean') },
    ]);
    expect(world.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
    expect(world.storedEntry('a').status).toMatchObject(held('gone'));
    expect(world.executor.calls).toBe(0);
  });

  test('and cleaned once the last Cluster is no longer paused', async () => {
    await create(left(), clusterIn(NAMESPACE, 'other', paused));
    await driver.settle();
    await world.patch(CLUSTERS, 'other', { spec: { paused: false } });
    await driver.settle();
    await world.until(() => world.executor.calls === 1);
    world.executor.reclaims[0]?.end(CLEAN);
    await driver.ended();
    await driver.reconcile();
    driver.expectFree();
    expect(driver.told()).toMatchObject({ Clean: 'True Cleaned', Ready: 'True Available' });
  });

  test('also when clusterctl move deletes the Cluster before its entries', async () => {
    await create(left());
    await world.patch(CLUSTERS, 'c', { spec: paused });
    await driver.settle();
    await world.delete(CLUSTERS, 'c');
    await driver.settle();
    expect(driver.phase()).toBeUndefined();
    expect(driver.told()).toMatchObject({ Clean: 'Unknown MachineAbsent' });
  });

  test.each<[string, [Resource, object][]]>([
    ['a paused Cluster of another namespace holds up nothing', [left(), cluster(), clusterIn('elsewhere', 'c', paused)]],
    ['nor does it that its Cluster is not known, while there is one', [ofUnknown(), clusterIn(NAMESPACE, 'x', {})]],
    ['nor does it that its Cluster is gone, once the machine gave up in its deletion', [quarantined()]],
  ])('%s', async (_name, objects) => {
    await world.create(LIVING, KEY, ...objects);
    await driver.started();
  });

  test('an entry whose status was lost is not handed out until a machine names it or its host is looked at', async () => {
    await world.create(LIVING, KEY, cluster(paused), unsettled());
    await driver.reconcile();
    expect(driver.told()).toMatchObject({ Clean: 'Unknown ReservationUnknown', Ready: 'Unknown ReservationUnknown' });
    expect(driver.message('Ready')).toContain('Cluster c is paused');
    expect(world.storedEntry('a').status).not.toHaveProperty('reserved');
    expect(world.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
    await world.patch(CLUSTERS, 'c', { spec: { paused: false } });
    await driver.cleaned((call) => call.end({ ...CLEAN, ran: false }));
    driver.expectFree();
  });
});

describe('the API server is asked before a cleanup', () => {
  /** The caches are behind from now on; then there are the machine and its reservation. */
  async function behind(annotations: Record<string, string>, refOf: (made: RemoteMachine) => string | undefined): Promise<void> {
    await create(entry('a'));
    stopWatches();
    const made = world.server.create<RemoteMachine>(...machine({ pool: 'p' }, { annotations }));
    const body = { status: held(refOf(made)) };
    await world.client.patch(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name: 'a' }, body, { subresource: 'status' });
    expect(world.machines.get(NAMESPACE, 'm')).toBeUndefined();
  }
  function stopWatches(): void {
    world.server.muteWatches();
    world.server.endWatches('end');
  }

  test.each<[string, Record<string, string>, (made: RemoteMachine) => string | undefined]>([
    ['bound to the entry', { [ANNOTATION.poolEntry]: 'a' }, ({ metadata }) => metadata.uid],
    ["of k0smotron's provider", {}, ({ metadata }) => metadata.uid],
    ["of k0smotron's provider, known by name", {}, () => undefined],
  ])('a machine that is there after all, %s, keeps its host', async (_name, annotations, refOf) => {
    await behind(annotations, refOf);
    expect(await driver.run()).toBeUndefined();
    expect(driver.phase()).toBeUndefined();
  });

  test.each<[string, Record<string, string>, (made: RemoteMachine) => string | undefined]>([
    ['another one of its name', {}, () => 'gone'],
    ['bound to another entry', { [ANNOTATION.poolEntry]: 'b' }, ({ metadata }) => metadata.uid],
  ])('one that is there, but %s, does not keep it', async (_name, annotations, refOf) => {
    await behind(annotations, refOf);
    await driver.run();
    expect(driver.phase()).toBe('running');
  });

  test.each<[string, () => void]>([
    ['was paused', () => world.server.patch(CLUSTERS, { namespace: NAMESPACE, name: 'c' }, { spec: { paused: true } })],
    ['is gone', () => world.server.delete(CLUSTERS, { namespace: NAMESPACE, name: 'c' })],
  ])('an absent machine whose Cluster %s meanwhile keeps it', async (_name, change) => {
    await create(left());
    stopWatches();
    change();
    expect(await driver.writes(() => driver.run())).toEqual([]);
    expect(driver.phase()).toBeUndefined();
  });

  test.each([/remotemachines\/m$/, /clusters\/c$/])(
    'while it gives no answer nothing is cleaned, and it is asked again: %s',
    async (path) => {
      await create(left());
      world.server.fail({ method: 'GET', path, status: 500 });
      await expect(driver.reconcile()).rejects.toMatchObject({ status: 500 });
      expect(world.executor.calls).toBe(0);
      expect(driver.told()).not.toHaveProperty('Clean');
      await driver.started();
    },
  );
});
