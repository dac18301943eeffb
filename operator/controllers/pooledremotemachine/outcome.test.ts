import { NAMESPACES, SECRETS } from '../../../apis/core.ts';
import { ANNOTATION, ENTRY_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { SSHError } from '../../ssh/types.ts';
import { StoppedClock } from '../testing/clock.ts';
import type { ReclaimCall } from '../testing/executor.ts';
import { ADDRESS, cluster, entry, NAMESPACE, RUN, secret } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { CLEAN, condition, dirty, EntryDriver, FAILED, held, HOST_KEY, left, LIVING, OTHER_KEY, quarantined } from './testing.ts';

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
const annotate = (annotations: object): Promise<void> => world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations } });

describe('a clean host', () => {
  test.each([
    ['a quarantined one', quarantined()],
    ['one whose machine is gone', left()],
    ['one that another had claimed', dirty()],
  ])('%s is free, and its key pinned', async (_name, object) => {
    await create(object);
    expect(await driver.cleaned((call) => call.end(CLEAN))).toBeUndefined();
    await driver.settle();
    driver.expectFree();
    expect(driver.told()).toMatchObject({ Clean: 'True Cleaned', Ready: 'True Available', Paused: 'False NotPaused' });
    expect(world.storedEntry('a').metadata.annotations).toEqual({ [ANNOTATION.hostKey]: HOST_KEY.publicKey });
    expect(world.events.all).toMatchObject([{ type: 'Normal', reason: 'Released', kind: 'PooledRemoteMachine', name: 'a' }]);
    expect(await driver.writes(() => driver.reconcile())).toEqual([]);
    expect(driver.phase()).toBeUndefined();
  });

  test.each([
    ['a quarantined one', quarantined({}, `adopted/${RUN}`)],
    ['one whose machine is gone', entry('a', {}, { finalizers: [ENTRY_FINALIZER] }, held())],
  ])('%s that another operator bootstrapped is not known to be clean without a claim', async (_name, object) => {
    await create(object);
    await driver.waits(clock, await driver.cleaned((call) => call.end({ ...CLEAN, ran: false })), 10);
    expect(driver.told()).toMatchObject({ Clean: 'False NoCleanupKnown', Ready: 'False Quarantined' });
    expect(driver.message('Clean')).toMatch(/clean it by hand, then annotate release=force$/);
    expect(world.storedEntry('a').status).toMatchObject({ reserved: true });
    await driver.cleaned((call) => call.end(CLEAN));
    driver.expectFree();
  });

  test('an entry that is being deleted goes', async () => {
    await create(quarantined());
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    (await driver.started()).end(CLEAN);
    await driver.ended();
    await driver.run();
    await world.synced();
    expect(world.entries.get(NAMESPACE, 'a')).toBeUndefined();
  });

  test.each([
    ['status', /pooledremotemachines\/a\/status$/],
    ['metadata', /pooledremotemachines\/a$/],
  ])('is looked at again where somebody came before the write of its %s', async (_name, path) => {
    await create(quarantined());
    const call = await driver.started();
    world.server.fail({ method: 'PATCH', path, status: 409, reason: 'Conflict' });
    call.end(CLEAN);
    await driver.ended();
    await expect(driver.run()).rejects.toMatchObject({ status: 409 });
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: RUN });
    await world.synced();
    await driver.reconcile();
    driver.expectFree();
    expect(world.executor.calls).toBe(1);
  });
});

describe('a host that is not clean', () => {
  const holder = { runID: 'theirs', machine: { namespace: 'there', name: 'x', uid: 'u' } };

  test.each<[string, (call: ReclaimCall) => void, string, RegExp]>([
    ['as a command fails', (call) => call.end(FAILED), 'CleanupFailed', /^c\[0\]: failed with exit code 1$/],
    ['as nothing says how', (call) => call.end({ outcome: 'NoCleanupKnown', hostKey: HOST_KEY }), 'NoCleanupKnown', /nothing says how/],
    [
      'as another manager has it',
      (call) => call.end({ outcome: 'InUse', holder, hostKey: HOST_KEY }),
      'HostInUse',
      /by RemoteMachine there\/x, run theirs$/,
    ],
    ['as it does not answer', (call) => call.fail(new SSHError('ConnectTimeout', '', 'no answer')), 'ConnectTimeout', /^no answer$/],
  ])('%s is told, kept back and tried again', async (_name, answer, reason, message) => {
    await create(quarantined());
    const result = await driver.cleaned(answer);
    expect(driver.told()).toMatchObject({ Clean: `False ${reason}`, Ready: 'False Quarantined', Paused: 'False NotPaused' });
    expect(driver.message('Clean')).toMatch(message);
    expect(driver.message('Ready')).toBe(driver.message('Clean'));
    const { metadata, status } = world.storedEntry('a');
    expect(status).toMatchObject(held('gone'));
    expect(metadata).toMatchObject({ finalizers: [ENTRY_FINALIZER], annotations: { [ANNOTATION.quarantined]: RUN } });
    await driver.waits(clock, result, 10);
    await driver.cleaned((call) => call.end(CLEAN));
    driver.expectFree();
  });

  test('is tried again after 10 s, then after twice that each time, up to 10 min', async () => {
    await create(quarantined());
    for (const seconds of [10, 20, 40, 80, 160, 320, 600, 600]) {
      await driver.waits(clock, await driver.cleaned((call) => call.end(FAILED)), seconds);
    }
    await driver.cleaned((call) => call.end(CLEAN));
    await annotate({ [ANNOTATION.quarantined]: 'm-2' });
    await driver.waits(clock, await driver.cleaned((call) => call.end(FAILED)), 10);
  });

  test('goes on saying what its cleanup printed, which only the machine could tell, until something else fails', async () => {
    await create(quarantined());
    const message = 'c[0]: failed with exit code 1. Last output:\nwhy';
    const conditions = [{ ...condition('Clean', 'False', 'CleanupFailed'), message }];
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { conditions } }, 'status');
    const result = await driver.cleaned((call) => call.end(FAILED));
    expect(driver.message('Clean')).toBe(message);
    await driver.waits(clock, result, 10);
    expect(driver.message('Clean')).toBe(message);
    await driver.cleaned((call) => call.end({ ...FAILED, message: 'failed with exit code 12' }));
    expect(driver.message('Clean')).toBe('c[0]: failed with exit code 12');
  });

  test('is tried at once where a person mends the spec', async () => {
    await create(quarantined());
    await driver.cleaned((call) => call.fail(new SSHError('AuthenticationFailed', '', 'no')));
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { spec: { machine: { user: 'admin', cleanUpCommands: ['mended'] } } });
    const { access, how } = await driver.started();
    expect(access.target.user).toBe('admin');
    expect(how.cleanup?.commands).toEqual([{ name: 'cleanUpCommands[0]', script: 'mended', mayFail: false }]);
  });
});

describe('a missing key', () => {
  test('is named and looked for again after 1 s, then up to every 30 s, until it is there', async () => {
    await world.create(LIVING, quarantined());
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) await driver.waits(clock, await driver.reconcile(), seconds);
    expect(driver.told()).toMatchObject({ Clean: 'False SecretNotFound', Ready: 'False Quarantined' });
    expect(driver.message('Clean')).toMatch(/^Secret ns\/key does not exist/);
    expect(world.storedEntry('a').status).toMatchObject(held('gone'));
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: RUN });
    await world.create(KEY);
    await driver.cleaned((call) => call.end(CLEAN));
    driver.expectFree();
    await world.delete(SECRETS, 'key');
    await annotate({ [ANNOTATION.quarantined]: 'm-2' });
    await driver.waits(clock, await driver.reconcile(), 1);
  });

  test.each([
    ['a quarantined entry', quarantined()],
    ['one whose machine is gone', left()],
  ])('that went with its namespace holds %s no longer', async (_name, object) => {
    await world.create(LIVING, cluster(), object);
    await driver.waits(clock, await driver.reconcile(), 1);
    world.server.delete(NAMESPACES, { name: NAMESPACE });
    expect(await driver.reconcile()).toBeUndefined();
    driver.expectFree();
    expect(driver.told()).toMatchObject({ Clean: 'False SecretNotFound', Ready: 'False Quarantined' });
    expect(world.executor.calls).toBe(0);
  });

  test('that is named by nothing holds an entry no longer in a namespace that ends', async () => {
    await world.create(LIVING, quarantined(), KEY);
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { spec: { machine: { sshKeyRef: null } } });
    await driver.waits(clock, await driver.reconcile(), 1);
    expect(driver.told()).toMatchObject({ Clean: 'False SSHKeyRefMissing' });
    world.server.delete(NAMESPACES, { name: NAMESPACE });
    expect(await driver.reconcile()).toBeUndefined();
    driver.expectFree();
    expect(world.executor.calls).toBe(0);
  });

  test('that went with its namespace holds an entry that is deleted with it no longer', async () => {
    await world.create(LIVING, quarantined());
    world.server.delete(NAMESPACES, { name: NAMESPACE });
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    await driver.run();
    await world.synced();
    expect(world.entries.get(NAMESPACE, 'a')).toBeUndefined();
  });

  test('nothing else that is amiss lets go of an entry in a namespace that ends', async () => {
    await world.create(LIVING, quarantined(), secret('key', {}));
    world.server.delete(NAMESPACES, { name: NAMESPACE });
    await driver.waits(clock, await driver.reconcile(), 1);
    expect(driver.told()).toMatchObject({ Clean: 'False SecretKeyMissing' });
    expect(world.storedEntry('a').status).toMatchObject(held('gone'));
  });
});

describe('the host key', () => {
  const pinned = { [ANNOTATION.hostKey]: HOST_KEY.publicKey };

  test('a changed one is refused until a person accepts it; then it is pinned, and the acceptance used up', async () => {
    await create(quarantined(pinned));
    await driver.cleaned((call) => {
      const expected = { kind: 'keys', keys: [HOST_KEY.publicKey] };
      expect(call.access.target.hostKeys).toEqual({ expected, accepted: [], trustOnFirstUse: false });
      call.fail(new SSHError('HostKeyChanged', `${ADDRESS}:22`, 'another key', { presented: OTHER_KEY.fingerprint }));
    });
    expect(driver.told()).toMatchObject({ Clean: 'False HostKeyChanged' });
    expect(world.storedEntry('a').metadata.annotations).toMatchObject(pinned);
    await annotate({ [REQUEST.acceptHostKey]: OTHER_KEY.fingerprint });
    await driver.cleaned((call) => {
      expect(call.access.target.hostKeys).toMatchObject({ accepted: [OTHER_KEY.fingerprint] });
      call.end({ ...CLEAN, hostKey: OTHER_KEY });
    });
    driver.expectFree();
    expect(world.storedEntry('a').metadata.annotations).toEqual({ [ANNOTATION.hostKey]: OTHER_KEY.publicKey });
    const told = world.events.all.filter(({ type }) => type === 'Normal');
    expect(told.map(({ reason }) => reason)).toEqual(['HostKeyAccepted', 'Released']);
    expect(told[0]?.note).toContain(`${OTHER_KEY.fingerprint} was accepted`);
  });

  test('an acceptance of another key than that which the host has stays', async () => {
    const accepted = { [REQUEST.acceptHostKey]: OTHER_KEY.fingerprint };
    await create(quarantined({ ...pinned, ...accepted }));
    await driver.cleaned((call) => call.end(CLEAN));
    expect(world.storedEntry('a').metadata.annotations).toEqual({ ...pinned, ...accepted });
    expect(world.events.reasons).toEqual(['Released']);
  });

  test('nothing is pinned where the spec names keys', async () => {
    await create(
      entry('a', { machine: { address: ADDRESS, sshKeyRef: { name: 'key' }, hostKeys: [HOST_KEY.publicKey] } }, {}, held('gone')),
    );
    await driver.cleaned((call) => call.end(CLEAN));
    expect(world.storedEntry('a').metadata).not.toHaveProperty('annotations');
  });
});
