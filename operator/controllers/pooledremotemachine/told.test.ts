/** What an entry says is so at every moment, whatever comes in between. */
import { NAMESPACES } from '../../../apis/core.ts';
import { ANNOTATION, MACHINE_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { SSHError } from '../../ssh/types.ts';
import { RemoteMachineReconciler } from '../remotemachine/controller.ts';
import { ADDRESS, cluster, CLUSTERS, entry, machine, NAMESPACE, owner, RUN, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { CLEAN, condition, EntryDriver, FAILED, held, HOST_KEY, left, LIVING, quarantined, unsettled } from './testing.ts';

let world: World;
let driver: EntryDriver;
beforeEach(async () => {
  world = await World.start();
  driver = new EntryDriver(world);
});
afterEach(() => world.stop());

const create = (...objects: Parameters<World['create']>) => world.create(LIVING, ...secrets(), ...objects);
const pause = (value: string | null) =>
  world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { 'cluster.x-k8s.io/paused': value } } });
const boundTo = (name: string) => ({ annotations: { [ANNOTATION.poolEntry]: name, [ANNOTATION.runID]: RUN } });

describe('after a move or a restore', () => {
  test('an entry that came before its machine serves it in the end', async () => {
    await create(cluster({ paused: true }), unsettled());
    await driver.settle();
    expect(driver.told()).toMatchObject({ Clean: 'Unknown ReservationUnknown', Ready: 'Unknown ReservationUnknown' });
    const { annotations } = boundTo('a');
    const moved = { finalizers: [MACHINE_FINALIZER], annotations: { ...annotations, [ANNOTATION.hostKey]: HOST_KEY.publicKey } };
    await world.create(owner(), machine({ pool: 'p', address: ADDRESS, providerID: `remote-machine://${ADDRESS}:22` }, moved));
    await world.patch(CLUSTERS, 'c', { spec: { paused: false } });
    const machines = new RemoteMachineReconciler(world.deps);
    for (let i = 0; i < 4; i++) {
      await machines.reconcile({ namespace: NAMESPACE, name: 'm' }, { log: world.log, signal: new AbortController().signal });
      await world.synced();
      await driver.settle();
    }
    expect(world.storedEntry('a').status).toMatchObject({ reserved: true });
    expect(driver.told()).toMatchObject({ Ready: 'True Reserved', Clean: 'True Reserved' });
    expect(world.executor.calls).toBe(0);
  });

  test('a machine that is there again is served again', async () => {
    await create(cluster({ paused: true }), left());
    await driver.settle();
    expect(driver.told()).toMatchObject({ Ready: 'Unknown MachineAbsent' });
    await world.create(machine({ pool: 'p', address: ADDRESS }, boundTo('a')));
    await driver.settle();
    expect(driver.told()).toMatchObject({ Ready: 'True Reserved' });
  });

  test('an entry of an ending namespace is held no longer', async () => {
    await create(left());
    world.server.delete(NAMESPACES, { name: NAMESPACE });
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    await driver.settle();
    expect(world.entries.get(NAMESPACE, 'a')).toBeUndefined();
  });
});

describe('while a cleanup is waited for or runs', () => {
  test('the output of the one that failed before stays to be read, and each attempt has its time', async () => {
    const told = { ...condition('Clean', 'False', 'CleanupFailed'), message: 'c[0]: failed with exit code 1. Last output:\numount: busy' };
    const name = { [ANNOTATION.quarantined]: RUN };
    await create(entry('a', {}, { annotations: name }, { ...held('gone', 'c'), conditions: [told] }));
    await driver.cleaned((call) => {
      expect(call.how.timeout).toBe(600_000);
      call.end(FAILED);
    });
    expect(driver.message('Clean')).toBe(told.message);
    await driver.reconcile();
    expect(driver.message('Clean')).toBe(told.message);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['runs', () => driver.started()],
    ['is tried again later', () => driver.cleaned((call) => call.end(FAILED))],
  ])('an entry that was paused and whose cleanup %s is paused no more', async (_name, goOn) => {
    await create(quarantined({ 'cluster.x-k8s.io/paused': '' }));
    await driver.reconcile();
    expect(driver.told()).toMatchObject({ Paused: 'True Paused' });
    await pause(null);
    await goOn();
    expect(driver.told()).toMatchObject({ Paused: 'False NotPaused', Clean: 'False CleanupFailed' });
  });

  test('what kept it from being cleaned is over', async () => {
    await create(cluster({ paused: true }), left());
    await driver.settle();
    await world.patch(CLUSTERS, 'c', { spec: { paused: false } });
    await driver.started();
    expect(driver.told()).toMatchObject({ Clean: 'Unknown CleaningUp' });
  });

  test('a failure whose write met a conflict is told at the next look', async () => {
    await create(cluster(), left());
    (await driver.started()).end(FAILED);
    await driver.ended();
    world.server.fail({ method: 'PATCH', path: /status$/, status: 409, reason: 'Conflict' });
    await expect(driver.run()).rejects.toMatchObject({ status: 409 });
    await driver.reconcile();
    expect(driver.told()).toMatchObject({ Clean: 'False CleanupFailed' });
  });
});

describe('the last contact', () => {
  test('that cleaned the host is told, so that it is not passed over', async () => {
    const conditions = [condition('Reachable', 'False', 'ConnectTimeout')];
    await create(cluster(), entry('a', {}, {}, { ...held('gone', 'c'), conditions }));
    await driver.cleaned((call) => call.end(CLEAN));
    expect(driver.told()).toMatchObject({ Reachable: 'True Reachable', Ready: 'True Available' });
  });

  test('that failed is told, too', async () => {
    await create(cluster(), left());
    await driver.cleaned((call) => call.fail(new SSHError('ConnectTimeout', '', 'no answer')));
    expect(driver.told()).toMatchObject({ Reachable: 'False ConnectTimeout', Clean: 'False ConnectTimeout' });
  });
});

describe('Events', () => {
  test('tell what keeps an entry from being handed out, once', async () => {
    await create(cluster(), left());
    await driver.cleaned((call) => call.end(FAILED));
    await driver.reconcile();
    expect(world.events.reasons).toEqual(['CleanupFailed']);
  });

  test('do not call an entry in use a duplicate because another machine names its host', async () => {
    await world.create(machine({ pool: 'p' }, { annotations: { [ANNOTATION.poolEntry]: 'a' } }));
    await world.create(entry('a', {}, {}, held(world.stored().metadata.uid)), machine({ address: ADDRESS }, { name: 'late' }));
    for (let i = 0; i < 3; i++) await driver.reconcile();
    expect(driver.told()).toMatchObject({ Ready: 'True Reserved' });
    expect(world.events.reasons).toEqual([]);
  });

  test("nor because k0smotron's machine, which it serves, names it by its address", async () => {
    await world.create(machine({ pool: 'p', address: ADDRESS, providerID: 'x' }));
    await world.create(entry('a', {}, {}, held(world.stored().metadata.uid)));
    for (let i = 0; i < 3; i++) await driver.reconcile();
    expect(world.events.reasons).toEqual([]);
  });
});

describe('a release by force', () => {
  test.each([
    ['the first', /pooledremotemachines\/a$/],
    ['the second', /pooledremotemachines\/a\/status$/],
  ])('of which %s write meets a conflict is honoured wholly the next time', async (_name, path) => {
    await create(quarantined({ [REQUEST.release]: 'force' }));
    world.server.fail({ method: 'PATCH', path, status: 409, reason: 'Conflict' });
    await expect(driver.run()).rejects.toMatchObject({ status: 409 });
    await world.synced();
    await driver.reconcile();
    driver.expectFree();
    expect(driver.told()).toMatchObject({ Clean: 'True ReleaseForced' });
    expect(world.events.reasons).toEqual(['ReleaseForced']);
    expect(world.storedEntry('a').metadata.annotations).toEqual({ [ANNOTATION.abandonedRun]: RUN });
  });

  test('does not take the host of a machine that the status alone names', async () => {
    await world.create(machine({ pool: 'p', address: ADDRESS }));
    await world.create(entry('a', {}, { annotations: { [REQUEST.release]: 'force' } }, held(world.stored().metadata.uid)));
    await driver.reconcile();
    expect(world.storedEntry('a').status).toMatchObject({ reserved: true });
    expect(world.events.reasons).toEqual(['Reserved']);
  });
});
