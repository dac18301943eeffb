import { ANNOTATION, ENTRY_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { outcome, STARTED } from '../testing/executor.ts';
import { ADDRESS, entry, owner, reserved, RUN, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { BootstrapDriver, contact, KEY, NEW_KEY } from './testing.ts';

let world: World;
let driver: BootstrapDriver;
beforeEach(async () => {
  world = await World.start();
  driver = new BootstrapDriver(world);
});
afterEach(() => world.stop());

test.each([
  ['while its run lasts', {}, { [ANNOTATION.hostKey]: KEY.publicKey }, ['HostKeyPinned']],
  ['unless it names host keys', { hostKeys: [KEY.publicKey] }, {}, []],
])('the key of a host that its machine names is not in its status alone %s', async (_name, spec, pinned, events) => {
  const status = { bootstrap: { runID: RUN, phase: 'Running' } };
  await world.create(...secrets(), owner(), reserved({ address: ADDRESS, ...spec }, { status }));
  const call = await driver.started();
  call.work.report({ contact: contact(), startedAt: STARTED, command: 'runcmd[0]' });
  await driver.run();
  await driver.run();
  expect(world.stored().metadata.annotations).toEqual({ [ANNOTATION.runID]: RUN, ...pinned });
  expect(world.events.reasons).toEqual(events);
});

describe('a changed host key', () => {
  const annotations = { [ANNOTATION.hostKey]: KEY.publicKey, [ANNOTATION.poolEntry]: 'a' };
  const accept = { [REQUEST.acceptHostKey]: NEW_KEY.fingerprint };
  const pooled = async (onMachine: object, onEntry: object): Promise<void> => {
    await world.create(
      ...secrets(),
      owner(),
      entry('a', {}, { annotations: { [ANNOTATION.hostKey]: KEY.publicKey, ...onEntry } }),
      reserved({ pool: 'p', address: ADDRESS }, { annotations: { ...annotations, ...onMachine } }),
    );
    await world.bind('a');
  };

  test.each([
    ['the machine', accept, {}],
    ['the entry', {}, accept],
    ['both', accept, accept],
  ])('that was accepted on %s replaces the pins at contact, and the acceptance is used up', async (_name, onMachine, onEntry) => {
    await pooled(onMachine, onEntry);
    const call = await driver.started();
    expect(call.access.target.hostKeys).toMatchObject({ expected: { keys: [KEY.publicKey] }, trustOnFirstUse: false });
    expect(call.access.target.hostKeys.accepted).toContain(NEW_KEY.fingerprint);
    call.work.report({ contact: contact(NEW_KEY) });
    await driver.run();
    for (const { metadata } of [world.stored(), world.storedEntry('a')]) {
      expect(metadata.annotations).toMatchObject({ [ANNOTATION.hostKey]: NEW_KEY.publicKey });
      expect(metadata.annotations).not.toHaveProperty([REQUEST.acceptHostKey]);
    }
    await driver.run();
    expect(world.events.reasons).toEqual(['HostKeyAccepted']);
  });

  test('an acceptance of another key than the host has stays, and the entry of a run that lasts is held', async () => {
    await pooled(accept, {});
    const foreign = { type: 'Clean', status: 'False', reason: 'HostInUse', message: '', lastTransitionTime: STARTED.toISOString() };
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { conditions: [foreign] } }, 'status');
    const call = await driver.started();
    call.work.report({ contact: contact(KEY) });
    await driver.run();
    // One that is over soon needs no request for it before it is ready.
    expect(world.storedEntry('a').metadata.finalizers).toBeUndefined();
    await world.patch(REMOTE_MACHINES, 'm', { status: { bootstrap: { phase: 'Running' } } }, 'status');
    call.work.report({ contact: contact(KEY), startedAt: STARTED });
    await driver.run();
    const { status } = world.storedEntry('a');
    expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Clean', status: 'True', reason: 'Reserved' }));
    // By which a restored entry tells that somebody has its host.
    expect(world.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
    expect(world.stored().metadata.annotations).toMatchObject(accept);
    expect(world.events.all).toEqual([]);
  });

  test('is not pinned over host keys of the spec: the acceptance stays', async () => {
    await world.create(...secrets(), owner(), reserved({ address: ADDRESS, hostKeys: [KEY.publicKey] }, { annotations: accept }));
    await driver.ended((call) => call.end(outcome(NEW_KEY)));
    expect(world.stored().metadata.annotations).toMatchObject(accept);
    expect(world.stored().metadata.annotations).not.toHaveProperty([ANNOTATION.hostKey]);
    expect(world.events.all).toMatchObject([{ reason: 'HostKeyAccepted', note: expect.stringContaining('name it in the spec') as string }]);
  });
});
