import { ANNOTATION, ENTRY_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { ADDRESS, cluster, CLUSTERS, entry, machine, RUN, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { CLEAN, clusterIn, condition, dirty, EntryDriver, held, left, quarantined } from './testing.ts';

const PAUSED = 'cluster.x-k8s.io/paused';
const MOVED = 'clusterctl.cluster.x-k8s.io/delete-for-move';
let world: World;
let driver: EntryDriver;
beforeEach(async () => {
  world = await World.start();
  driver = new EntryDriver(world);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await world.stop();
});

const pause = (value: string | null): Promise<void> =>
  world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { [PAUSED]: value } } });
const bound = (to = 'a') => machine({ pool: 'p', address: ADDRESS }, { annotations: { [ANNOTATION.poolEntry]: to } });
/** Creates an object that is older than those which come later. */
const createOld = (...objects: Parameters<World['create']>): Promise<void> => {
  jest.spyOn(Date.prototype, 'toISOString').mockReturnValueOnce('2020-01-01T00:00:00.000Z');
  return world.create(...objects);
};

describe('a new entry', () => {
  test('is free, clean, and nobody knows yet whether it can be reached; the second time nothing is written', async () => {
    await world.create(entry('a'));
    expect(await driver.reconcile()).toBeUndefined();
    expect(driver.told()).toEqual({
      Paused: 'False NotPaused',
      Reachable: 'Unknown NotContacted',
      Clean: 'True NeverClaimed',
      Ready: 'True Available',
    });
    expect(world.storedEntry('a').status).toMatchObject({ reserved: false });
    expect(world.storedEntry('a').metadata).not.toHaveProperty('finalizers');
    expect(await driver.writes(() => driver.reconcile())).toEqual([]);
    expect(world.events.all).toEqual([]);
    expect(world.executor.calls).toBe(0);
  });

  test('that is gone again is nothing to do', async () => {
    expect(await driver.writes(() => driver.reconcile('none'))).toEqual([]);
  });

  test('of another manager is left alone, dirty or not', async () => {
    const filtered = new EntryDriver(world, 'mine');
    const metadata = (filter?: string) => ({ labels: { 'cluster.x-k8s.io/watch-filter': filter ?? '' } });
    await world.create(...secrets(), cluster(), left(metadata('other')), entry('b'), entry('c', {}, metadata('mine')));
    await filtered.reconcile('a');
    await filtered.reconcile('b');
    await filtered.reconcile('c');
    expect(filtered.told('a')).toEqual({});
    expect(filtered.told('b')).toEqual({});
    expect(filtered.told('c')).toMatchObject({ Paused: 'False NotPaused' });
    expect(world.executor.calls).toBe(0);
  });
});

test('an entry with its machine serves it, and keeps its finalizer', async () => {
  await world.create(bound());
  await world.create(entry('a', {}, { finalizers: [ENTRY_FINALIZER] }, held(world.stored().metadata.uid)));
  expect(await driver.reconcile()).toBeUndefined();
  expect(driver.told()).toMatchObject({ Ready: 'True Reserved', Clean: 'True NeverClaimed' });
  expect(driver.message('Ready')).toBe('Serves RemoteMachine m');
  expect(world.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
  expect(world.executor.calls).toBe(0);
});

describe('the finalizer of an entry that is free', () => {
  const finalizers = [ENTRY_FINALIZER, 'example.com/other'];

  test('goes, so that the entry can be deleted', async () => {
    await world.create(entry('a', {}, { finalizers }, { reserved: false }));
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    await driver.reconcile();
    expect(world.storedEntry('a').metadata.finalizers).toEqual(['example.com/other']);
  });

  test('stays while a machine names the entry: its reservation or its deletion is about to write', async () => {
    await world.create(bound(), entry('a', {}, { finalizers, annotations: { [ANNOTATION.quarantined]: RUN } }));
    await driver.reconcile();
    expect(world.storedEntry('a').metadata).toMatchObject({ finalizers, annotations: { [ANNOTATION.quarantined]: RUN } });
    expect(world.executor.calls).toBe(0);
  });
});

describe('paused', () => {
  test.each([
    ['a free entry', entry('a', {}, { annotations: { [PAUSED]: '' } })],
    ['one that is to be cleaned', quarantined({ [PAUSED]: '' })],
    ['one that a person released', quarantined({ [PAUSED]: '', [REQUEST.release]: 'force' })],
  ])('%s is left alone and says so, until the annotation goes', async (_name, object) => {
    await world.create(...secrets(), object);
    const before = world.storedEntry('a');
    expect(await driver.reconcile()).toBeUndefined();
    expect(driver.told()).toMatchObject({ Paused: 'True Paused' });
    expect(driver.message('Paused')).toContain(PAUSED);
    expect({ ...world.storedEntry('a').metadata, resourceVersion: '' }).toEqual({ ...before.metadata, resourceVersion: '' });
    expect(await driver.writes(() => driver.reconcile())).toEqual([]);
    expect(world.events.all).toEqual([]);
    expect(world.executor.calls).toBe(0);
  });

  test('an entry that was paused is free again', async () => {
    await world.create(entry('a', {}, { annotations: { [PAUSED]: 'true' } }));
    await driver.reconcile();
    await pause(null);
    await driver.reconcile();
    expect(driver.told()).toMatchObject({ Paused: 'False NotPaused', Ready: 'True Available' });
  });

  test('ends a cleanup that is under way; afterwards it begins anew', async () => {
    await world.create(...secrets(), quarantined());
    const first = await driver.started();
    await pause('');
    await driver.reconcile();
    expect(first.work.signal.aborted).toBe(true);
    expect(driver.told()).toMatchObject({ Paused: 'True Paused' });
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: RUN });
    await pause(null);
    await driver.cleaned((call) => call.end(CLEAN));
    await driver.settle();
    expect(world.executor.calls).toBe(2);
    expect(driver.told()).toMatchObject({ Paused: 'False NotPaused', Ready: 'True Available', Clean: 'True Cleaned' });
  });

  test('what a cleanup that had ended came to is not taken note of, but asked again', async () => {
    await world.create(...secrets(), quarantined());
    (await driver.started()).end(CLEAN);
    await driver.ended();
    await pause('');
    await driver.reconcile();
    expect(world.storedEntry('a').status).toMatchObject({ reserved: true });
    await pause(null);
    await driver.started();
    expect(world.executor.calls).toBe(2);
  });
});

describe('a cleanup that is under way ends', () => {
  beforeEach(() => world.create(...secrets(), cluster()));

  test.each<[string, () => Promise<void>]>([
    ['when the machine is there again', () => world.create(bound())],
    ['when a Cluster of the namespace is paused', () => world.patch(CLUSTERS, 'c', { spec: { paused: true } })],
    ['when its Cluster is gone', () => world.delete(CLUSTERS, 'c')],
    ['when the entry is moved away', () => world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { [MOVED]: '' } } })],
  ])('%s', async (_name, change) => {
    await world.create(left());
    const { work } = await driver.started();
    await change();
    await driver.settle();
    expect(work.signal.aborted).toBe(true);
    expect(driver.phase()).toBeUndefined();
    expect(world.storedEntry('a').status).toMatchObject(held('gone'));
    expect(world.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
  });

  test.each([
    ['is gone', false],
    ['is gone and another one has its name', true],
  ])('when the entry %s', async (_name, again) => {
    await world.create(dirty());
    const { work } = await driver.started();
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    if (again) await world.create(entry('a'));
    await driver.settle();
    expect(work.signal.aborted).toBe(true);
    if (again) expect(driver.told()).toMatchObject({ Clean: 'True NeverClaimed', Ready: 'True Available' });
  });
});

describe('of several with one host', () => {
  const served = { Ready: 'True Available' };
  const duplicate = { Ready: 'False DuplicateHost' };

  test('the oldest entry is served; the other one when that goes', async () => {
    await createOld(entry('b'));
    await world.create(entry('a'));
    await driver.settle();
    expect(driver.told('b')).toMatchObject(served);
    expect(driver.told('a')).toMatchObject({ ...duplicate, Clean: 'True NeverClaimed' });
    expect(driver.message('Ready', 'a')).toBe(`PooledRemoteMachine ns/b has the same host ${ADDRESS}:22 and is served in its place`);
    await driver.reconcile('a');
    expect(world.events.all).toEqual([
      { type: 'Warning', reason: 'DuplicateHost', kind: 'PooledRemoteMachine', name: 'a', note: driver.message('Ready', 'a') },
    ]);
    await world.delete(POOLED_REMOTE_MACHINES, 'b');
    await driver.settle();
    expect(driver.told('a')).toMatchObject(served);
  });

  test('of entries of one age the first by name', async () => {
    await createOld(entry('b'));
    await createOld(entry('a'));
    await driver.settle();
    expect([driver.told('a'), driver.told('b')]).toMatchObject([served, duplicate]);
  });

  test('the one in use comes before the oldest, until it is given back', async () => {
    await createOld(entry('a'));
    await world.create(entry('b'), bound('b'));
    const { uid } = world.stored().metadata;
    await world.patch(POOLED_REMOTE_MACHINES, 'b', { status: held(uid) }, 'status');
    await driver.settle();
    expect([driver.told('a'), driver.told('b')]).toMatchObject([duplicate, { Ready: 'True Reserved' }]);
    await world.delete(REMOTE_MACHINES, 'm');
    await world.patch(POOLED_REMOTE_MACHINES, 'b', { status: { reserved: false, machineRef: null } }, 'status');
    await driver.settle();
    expect([driver.told('a'), driver.told('b')]).toMatchObject([served, duplicate]);
  });

  test.each(['a', 'b'])('both are served once the address of %s is corrected', async (name) => {
    await world.create(entry('a'), entry('b'));
    await driver.settle();
    expect([driver.told('a'), driver.told('b')]).toMatchObject([served, duplicate]);
    await world.patch(POOLED_REMOTE_MACHINES, name, { spec: { machine: { address: '10.0.0.2' } } });
    await driver.settle();
    expect([driver.told('a'), driver.told('b')]).toMatchObject([served, served]);
  });

  test('another port, or a bastion before it, is another host', async () => {
    const of = (name: string, connection: object) =>
      entry(name, { machine: { address: ADDRESS, sshKeyRef: { name: 'key' }, ...connection } });
    await world.create(of('a', {}), of('b', { port: 23 }), of('c', { bastions: [{ address: 'x' }] }), of('d', { port: 22 }));
    await driver.settle();
    expect(['a', 'b', 'c', 'd'].map((name) => driver.told(name))).toMatchObject([served, served, served, duplicate]);
  });

  test.each<[string, () => Promise<void>]>([
    ['is gone', () => world.delete(REMOTE_MACHINES, 'm')],
    ['names another', () => world.patch(REMOTE_MACHINES, 'm', { spec: { address: '10.0.0.2' } })],
  ])('a machine that names the host itself has it until it %s', async (_name, end) => {
    await world.create(entry('a'), machine({ address: ADDRESS }));
    await driver.settle();
    expect(driver.told()).toMatchObject(duplicate);
    expect(driver.message('Ready')).toBe(`RemoteMachine ns/m names the same host ${ADDRESS}:22 by its address`);
    expect(world.events.reasons).toEqual(['DuplicateHost']);
    await end();
    await driver.settle();
    expect(driver.told()).toMatchObject(served);
  });

  test.each([
    ['asks the pool for this host', { pool: 'p', address: ADDRESS }, {}],
    ['has another entry with the address of this one', { pool: 'p', address: ADDRESS }, { [ANNOTATION.poolEntry]: 'other' }],
    ['names another host', { address: '10.0.0.2' }, {}],
  ])('a machine that %s is none of them', async (_name, spec, annotations) => {
    await world.create(entry('a'), machine(spec, { annotations }));
    await driver.settle();
    expect(driver.told()).toMatchObject(served);
  });
});

describe('what wakes an entry', () => {
  const at = (address: string) => ({ machine: { address, sshKeyRef: { name: 'key' } } });
  const moved = (to: string, address: string) => ({ metadata: { annotations: { [ANNOTATION.poolEntry]: to } }, spec: { address } });

  test('its own changes; those of spec, reservation and life wake what has the same host', async () => {
    await world.create(entry('b'), entry('c', at('10.0.0.2')));
    expect(await driver.wokenBy(() => world.create(entry('a')))).toEqual(['ns/a', 'ns/b']);
    const change = (body: object, subresource?: 'status') => () => world.patch(POOLED_REMOTE_MACHINES, 'a', body, subresource);
    expect(await driver.wokenBy(change({ spec: { failureDomain: 'x' } }))).toEqual(['ns/a', 'ns/b']);
    expect(await driver.wokenBy(change({ status: held('u') }, 'status'))).toEqual(['ns/a', 'ns/b']);
    expect(await driver.wokenBy(change({ status: { conditions: [condition('Clean', 'True', 'x')] } }, 'status'))).toEqual(['ns/a']);
    expect(await driver.wokenBy(change({ metadata: { annotations: { [REQUEST.release]: 'force' } } }))).toEqual(['ns/a']);
    expect(await driver.wokenBy(change({ spec: at('10.0.0.2') }))).toEqual(['ns/a', 'ns/b', 'ns/c']);
    expect(await driver.wokenBy(() => world.delete(POOLED_REMOTE_MACHINES, 'a'))).toEqual(['ns/a', 'ns/c']);
  });

  test('a machine that is bound to it comes or goes, or goes on to another entry; no other change of it', async () => {
    await world.create(entry('a'), entry('b', at('10.0.0.2')));
    const change = (body: object) => () => world.patch(REMOTE_MACHINES, 'm', body);
    expect(await driver.wokenBy(() => world.create(bound()))).toEqual(['ns/a']);
    expect(await driver.wokenBy(change({ spec: { user: 'admin' } }))).toEqual([]);
    expect(await driver.wokenBy(change(moved('b', '10.0.0.2')))).toEqual(['ns/a', 'ns/b']);
    expect(await driver.wokenBy(change({ metadata: { annotations: { [ANNOTATION.poolEntry]: 'a' } } }))).toEqual(['ns/b']);
    expect(await driver.wokenBy(() => world.delete(REMOTE_MACHINES, 'm'))).toEqual(['ns/a']);
  });

  test('a machine that names its host, when it comes, goes, and is corrected', async () => {
    await world.create(entry('a'), entry('b', at('10.0.0.2')), entry('c', {}, { namespace: 'elsewhere' }));
    expect(await driver.wokenBy(() => world.create(machine({ address: ADDRESS })))).toEqual(['elsewhere/c', 'ns/a']);
    const corrected = () => world.patch(REMOTE_MACHINES, 'm', { spec: { address: '10.0.0.2' } });
    expect(await driver.wokenBy(corrected)).toEqual(['elsewhere/c', 'ns/a', 'ns/b']);
    expect(await driver.wokenBy(() => world.delete(REMOTE_MACHINES, 'm'))).toEqual(['ns/b']);
  });

  test('a Cluster of its namespace that is paused or unpaused, comes or goes, where somebody has or had the entry', async () => {
    await world.create(left(), entry('b', at('10.0.0.2')), entry('c', {}, { finalizers: [ENTRY_FINALIZER] }));
    await world.create(left({ namespace: 'elsewhere' }));
    expect(await driver.wokenBy(() => world.create(cluster()))).toEqual(['ns/a', 'ns/c']);
    expect(await driver.wokenBy(() => world.patch(CLUSTERS, 'c', { metadata: { labels: { x: 'y' } } }))).toEqual([]);
    expect(await driver.wokenBy(() => world.patch(CLUSTERS, 'c', { spec: { paused: true } }))).toEqual(['ns/a', 'ns/c']);
    expect(await driver.wokenBy(() => world.patch(CLUSTERS, 'c', { spec: { paused: false } }))).toEqual(['ns/a', 'ns/c']);
    expect(await driver.wokenBy(() => world.delete(CLUSTERS, 'c'))).toEqual(['ns/a', 'ns/c']);
    expect(await driver.wokenBy(() => world.create(clusterIn('elsewhere', 'c', { paused: true })))).toEqual(['elsewhere/a']);
  });
});
