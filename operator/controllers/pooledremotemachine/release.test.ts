import { ANNOTATION, ENTRY_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { entry, machine, NAMESPACE, RUN, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { CLEAN, dirty, EntryDriver, held, left, quarantined, unsettled } from './testing.ts';

let world: World;
let driver: EntryDriver;
beforeEach(async () => {
  world = await World.start();
  driver = new EntryDriver(world);
});
afterEach(() => world.stop());

const release = (value = 'force'): Promise<void> =>
  world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { [REQUEST.release]: value } } });

test.each<[string, ReturnType<typeof entry>, string | undefined]>([
  ['in quarantine', quarantined(), RUN],
  ['in quarantine, of another operator', quarantined({}, `adopted/${RUN}`), RUN],
  ['whose machine is gone', left(), 'gone'],
  ['whose machine was known by name', entry('a', {}, {}, held()), undefined],
  ['whose status was lost', unsettled(), undefined],
  ['that somebody else had claimed', dirty(), undefined],
  ['that is free', entry('a'), undefined],
])('an entry %s is given back as it is, once, and who had it may be put out', async (_name, object, abandoned) => {
  await world.create(...secrets(), object);
  await release();
  expect(await driver.reconcile()).toBeUndefined();
  await driver.settle();
  const { metadata, status } = world.storedEntry('a');
  expect(metadata.annotations ?? {}).toEqual(abandoned === undefined ? {} : { [ANNOTATION.abandonedRun]: abandoned });
  expect(metadata.finalizers ?? []).toEqual([]);
  expect(status).toMatchObject({ reserved: false });
  expect(status).not.toHaveProperty('machineRef');
  expect(driver.told()).toMatchObject({ Clean: 'True ReleaseForced', Ready: 'True Available', Paused: 'False NotPaused' });
  expect(driver.message('Clean')).toContain('without a confirmed cleanup');
  expect(world.events.all).toEqual([
    { type: 'Normal', reason: 'ReleaseForced', kind: 'PooledRemoteMachine', name: 'a', note: driver.message('Clean') },
  ]);
  expect(world.executor.calls).toBe(0);
});

test('a cleanup that is under way ends', async () => {
  await world.create(...secrets(), quarantined());
  const { work } = await driver.started();
  await release();
  await driver.reconcile();
  expect(work.signal.aborted).toBe(true);
  expect(driver.phase()).toBeUndefined();
  expect(driver.told()).toMatchObject({ Clean: 'True ReleaseForced' });
});

test('an entry that is being deleted goes, though nobody can clean its host', async () => {
  await world.create(quarantined());
  await world.delete(POOLED_REMOTE_MACHINES, 'a');
  await release();
  await driver.reconcile();
  expect(world.entries.get(NAMESPACE, 'a')).toBeUndefined();
});

describe('an entry that a machine has', () => {
  test.each([
    ['serves it', {}],
    ['waits for its end', { finalizers: ['example.com/other'] }],
  ])('and that %s is not given back, which is told once', async (_name, extra) => {
    await world.create(machine({ pool: 'p' }, { annotations: { [ANNOTATION.poolEntry]: 'a' }, ...extra }));
    if ('finalizers' in extra) await world.delete(REMOTE_MACHINES, 'm');
    const kept = { [ANNOTATION.quarantined]: RUN };
    await world.create(entry('a', {}, { finalizers: [ENTRY_FINALIZER], annotations: kept }, held(world.stored().metadata.uid)));
    const before = world.storedEntry('a');
    await release();
    await driver.reconcile();
    const { metadata, status } = world.storedEntry('a');
    expect(metadata).toMatchObject({ finalizers: [ENTRY_FINALIZER], annotations: kept });
    expect(metadata.annotations).not.toHaveProperty([REQUEST.release]);
    expect(metadata.annotations).not.toHaveProperty([ANNOTATION.abandonedRun]);
    expect(status).toEqual(before.status);
    expect(world.events.all).toEqual([
      {
        ...{ type: 'Warning', reason: 'Reserved', kind: 'PooledRemoteMachine', name: 'a' },
        note: 'Not released: RemoteMachine ns/m has the host. Delete that one',
      },
    ]);
    await driver.reconcile();
    expect(driver.told()).toMatchObject({ Ready: 'True Reserved' });
    expect(world.events.all).toHaveLength(1);
  });
});

test('any other word is no request', async () => {
  await world.create(...secrets(), quarantined());
  await release('please');
  await driver.cleaned((call) => call.end(CLEAN));
  expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [REQUEST.release]: 'please' });
  expect(world.events.reasons).toEqual(['Released']);
});

test('where somebody came before it nothing is done, and it is tried again', async () => {
  await world.create(...secrets(), quarantined());
  await release();
  world.server.fail({ method: 'PATCH', path: /pooledremotemachines\/a$/, status: 409, reason: 'Conflict' });
  await expect(driver.run()).rejects.toMatchObject({ status: 409 });
  expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [REQUEST.release]: 'force', [ANNOTATION.quarantined]: RUN });
  expect(world.events.all).toEqual([]);
  await driver.reconcile();
  expect(driver.told()).toMatchObject({ Clean: 'True ReleaseForced' });
});

test('every write is made on the version that was read', async () => {
  await world.create(...secrets(), quarantined());
  await release();
  const before = world.server.requests.length;
  await driver.reconcile();
  const written = world.server.requests.slice(before).flatMap(({ method, body }) => (method === 'PATCH' ? [body] : []));
  expect(written.length).toBeGreaterThan(1);
  const guarded = expect.objectContaining({
    metadata: expect.objectContaining({ resourceVersion: expect.any(String) as string }) as object,
  }) as object;
  expect(written).toEqual(written.map(() => guarded));
});
