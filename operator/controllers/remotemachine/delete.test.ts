import { NAMESPACES } from '../../../apis/core.ts';
import { ANNOTATION, MACHINE_FINALIZER, PEER_MACHINE_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { hostKeyFromBuffer } from '../../ssh/host-keys.ts';
import { SSHError } from '../../ssh/types.ts';
import { Attempts } from '../hosts/attempts.ts';
import { PUBLIC_KEYS, type ReclaimCall } from '../testing/executor.ts';
import { ADDRESS, entry, machine, NAMESPACE, owner, reserved, RUN, secrets } from '../testing/objects.ts';
import { StoppedClock } from '../testing/clock.ts';
import { World } from '../testing/world.ts';
import { HostCleaning } from './cleaning.ts';
import { Deletion } from './delete.ts';
import { AWAITS_CONNECTION } from './scope.ts';

const hostKey = hostKeyFromBuffer(Buffer.from(PUBLIC_KEYS[0].split(' ')[1] ?? '', 'base64'));
const clean = { outcome: 'Clean', ran: true, hostKey } as const;
const failed = { outcome: 'Failed', command: 'c[0]', message: 'failed with exit code 1', outputTail: '', hostKey } as const;

let clock: StoppedClock;
let world: World;
let deletion: Deletion;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  deletion = new Deletion(world.deps, new HostCleaning(world.deps, new Attempts(20, 100)));
});
afterEach(async () => {
  jest.restoreAllMocks();
  clock[Symbol.dispose]();
  await world.stop();
});

/** Neither Machine nor Cluster nor bootstrap data: a deletion needs none of them. */
async function deleted(...objects: Parameters<World['create']>): Promise<void> {
  await world.create(...secrets().slice(0, 1), ...objects);
  await world.delete(REMOTE_MACHINES, 'm');
}
async function run() {
  const scope = world.scope();
  const result = await deletion.run(scope);
  await world.synced();
  const { status, reason, message } = scope.condition('CleanedUp') ?? {};
  return { scope, result, told: { status, reason, message } };
}
async function cleaned(answer: (call: ReclaimCall) => void) {
  const calls = world.executor.reclaims.length;
  await run();
  await world.until(() => world.executor.reclaims.length > calls);
  answer(world.executor.reclaims[calls] as ReclaimCall);
  await world.ended(world.scope());
  return run();
}
/** By the API server's clock. */
function later(milliseconds: number): void {
  const now = world.deps.client.now().getTime();
  jest.spyOn(world.deps.client, 'now').mockImplementation(() => new Date(now + milliseconds));
}
const isGone = (): boolean => world.machines.get(NAMESPACE, 'm') === undefined;
/** A machine that has the entry `a`. */
async function pooled(annotations: Record<string, string> = {}, onEntry: Record<string, string> = {}): Promise<void> {
  await world.create(
    ...secrets().slice(0, 1),
    entry('a', {}, { annotations: onEntry }),
    reserved({ pool: 'p', address: ADDRESS }, { annotations: { [ANNOTATION.poolEntry]: 'a', ...annotations } }),
  );
  await world.bind('a');
  await world.delete(REMOTE_MACHINES, 'm');
}

describe('at once', () => {
  test.each([
    ['a machine that never had a host', machine({ pool: 'p' }, { finalizers: [MACHINE_FINALIZER] })],
    ["a machine of k0smotron's provider that never had a host", machine({ pool: 'p' }, { finalizers: [PEER_MACHINE_FINALIZER] })],
    ['a machine that no run was meant for', machine({ address: ADDRESS }, { finalizers: [MACHINE_FINALIZER] })],
  ])('%s goes', async (_name, object) => {
    await deleted(object);
    expect((await run()).result).toBe('gone');
    expect(isGone()).toBe(true);
    expect(world.executor.calls).toBe(0);
  });

  test('a machine that is moved away is left alone', async () => {
    await deleted(reserved(undefined, { annotations: { 'clusterctl.cluster.x-k8s.io/delete-for-move': '' } }));
    expect((await run()).result).toBe('gone');
    expect(isGone()).toBe(false);
    expect(world.executor.calls).toBe(0);
  });

  test('finalizers of others stay', async () => {
    await deleted(machine({ pool: 'p' }, { finalizers: [MACHINE_FINALIZER, 'example.com/other'] }));
    await run();
    expect(world.stored().metadata.finalizers).toEqual(['example.com/other']);
    expect((await run()).result).toBe('gone');
  });
});

test('the host is cleaned of its run, and the machine goes', async () => {
  await deleted(reserved());
  const first = await run();
  expect(first.told).toMatchObject({ status: 'Unknown', reason: 'CleaningUp' });
  expect(first.result).toMatchObject({ requeueAfter: expect.any(Number) as number });
  await world.until(() => world.executor.calls === 1);
  const call = world.executor.reclaims[0] as ReclaimCall;
  expect(call.isOurs({ runID: RUN, machine: { namespace: '', name: '', uid: '' } })).toBe(true);
  expect(call.isOurs({ runID: 'other', machine: { namespace: NAMESPACE, name: 'm', uid: world.stored().metadata.uid } })).toBe(false);
  call.work.report({ command: 'c[0]' });
  expect((await run()).told.message).toBe('c[0] runs');
  call.end(clean);
  await world.ended(world.scope());
  expect((await run()).result).toBe('gone');
  expect(isGone()).toBe(true);
  expect(world.events.reasons).toEqual(['Cleaned']);
});

test('a host with the claim of somebody else has nothing of ours, and is not given back as clean', async () => {
  await pooled();
  const holder = { runID: 'other', machine: { namespace: 'x', name: 'y', uid: '' } };
  expect((await cleaned((call) => call.end({ outcome: 'InUse', holder, hostKey }))).result).toBe('gone');
  const { status } = world.storedEntry('a');
  expect(status).toMatchObject({ reserved: false });
  const message = 'The host is claimed by RemoteMachine x/y, run other';
  expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Clean', status: 'False', reason: 'HostInUse', message }));
});

test('a machine that is let go is not looked at again by a cache that is behind', async () => {
  await pooled();
  const behind = world.scope();
  await cleaned((call) => call.end(clean));
  expect(await deletion.run(behind)).toBe('gone');
  expect(world.executor.calls).toBe(1);
});

test.each([
  ['of whose run nobody knows', undefined, 'NeverClaimed', 'The host has nothing of the last machine'],
  [
    'whose run had the host',
    { bootstrap: { runID: RUN, phase: 'Running' } },
    'Cleaned',
    'The host has nothing of the last machine any more',
  ],
])('a host without a claim is clean of a machine %s', async (_name, status, reason, message) => {
  await pooled();
  if (status !== undefined) await world.patch(REMOTE_MACHINES, 'm', { status }, 'status');
  expect((await cleaned((call) => call.end({ ...clean, ran: false }))).result).toBe('gone');
  const { metadata, status: stored } = world.storedEntry('a');
  expect(stored?.conditions).toContainEqual(expect.objectContaining({ type: 'Clean', status: 'True', reason, message }));
  // A claim that was not seen may be one of a run that is at work: only a person gives such a one up.
  expect(metadata.annotations ?? {}).not.toHaveProperty([ANNOTATION.abandonedRun]);
});

test('a paused entry keeps its host from being cleaned, also what is under way', async () => {
  await pooled();
  await run();
  await world.until(() => world.executor.calls === 1);
  await world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } });
  const { told, result } = await run();
  expect(told).toEqual({ status: 'Unknown', reason: 'Paused', message: 'PooledRemoteMachine a is paused: its host is not cleaned' });
  expect(result).toEqual({});
  expect(world.executor.reclaims[0]?.work.signal.aborted).toBe(true);
  await world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { 'cluster.x-k8s.io/paused': null } } });
  expect((await cleaned((call) => call.end(clean))).result).toBe('gone');
});

describe('what the cleanup printed', () => {
  const says = { ...failed, outputTail: 'why: echo a-secret-line > /run/cluster-api/bootstrap-success.complete\n' };

  test('is told without what the bootstrap data says', async () => {
    await deleted(...secrets().slice(1), owner(), reserved());
    const { told } = await cleaned((call) => call.end(says));
    expect(told.message).toBe('c[0]: failed with exit code 1. Last output:\nwhy: [redacted]');
  });

  test('is not told where nobody knows any more what is secret', async () => {
    await deleted(reserved());
    const { told } = await cleaned((call) => call.end(says));
    expect(told.message).toBe('c[0]: failed with exit code 1');
  });
});

describe('a machine that another operator bootstrapped', () => {
  const bootstrap = {
    configRef: { apiVersion: 'bootstrap.cluster.x-k8s.io/v1beta1', kind: 'KubeadmConfig', name: 'm' },
    dataSecretName: 'data',
  };

  test.each([
    ['and finished', { address: ADDRESS, providerID: `remote-machine://${ADDRESS}:22` }],
    ['and perhaps did not finish', { address: ADDRESS }],
  ])('%s is cleaned under a claim that is made for it', async (_name, spec) => {
    await deleted(owner({ bootstrap }), machine(spec, { finalizers: [PEER_MACHINE_FINALIZER] }));
    await run();
    await world.until(() => world.executor.calls === 1);
    const { uid, annotations } = world.stored().metadata;
    const runID = annotations?.[ANNOTATION.runID];
    expect(annotations?.[ANNOTATION.adopted]).toBe(runID);
    const { how, isOurs } = world.executor.reclaims[0] as ReclaimCall;
    const claimant = { runID, machine: { namespace: NAMESPACE, name: 'm', uid } };
    expect(how).toMatchObject({ adopts: claimant, cleanup: { source: 'kubeadm' } });
    expect(isOurs(claimant as Parameters<typeof isOurs>[0])).toBe(true);
    world.executor.reclaims[0]?.end(clean);
    await world.ended(world.scope());
    expect((await run()).result).toBe('gone');
    expect(isGone()).toBe(true);
  });

  test('and that a run was meant for since is no clean host without a claim', async () => {
    const begun = { finalizers: [PEER_MACHINE_FINALIZER, MACHINE_FINALIZER], annotations: { [ANNOTATION.runID]: RUN } };
    await deleted(owner({ bootstrap }), machine({ address: ADDRESS }, begun));
    await run();
    await world.until(() => world.executor.calls === 1);
    expect(world.executor.reclaims[0]?.how).toMatchObject({ adopts: { runID: RUN }, cleanup: { source: 'kubeadm' } });
  });

  test('with no known cleanup says so, and is let go at its deadline', async () => {
    await world.create(
      ...secrets().slice(0, 1),
      entry('a', {}, {}, { reserved: true, machineRef: { name: 'm', namespace: NAMESPACE } }),
      machine(
        { pool: 'p', address: ADDRESS, providerID: 'x' },
        { finalizers: [PEER_MACHINE_FINALIZER], annotations: { [REQUEST.cleanupDeadline]: '5s' } },
      ),
    );
    await world.delete(REMOTE_MACHINES, 'm');
    await run();
    const runID = world.stored().metadata.annotations?.[ANNOTATION.runID] ?? '';
    await world.until(() => world.executor.calls === 1);
    world.executor.reclaims[0]?.end({ outcome: 'NoCleanupKnown', hostKey });
    await world.ended(world.scope());
    later(10_000);
    expect((await run()).result).toBe('gone');
    // Of whose host no claim may ever tell.
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: `adopted/${runID}` });
  });
});

test('the entry is free, clean and pinned, and an acceptance used up', async () => {
  await pooled({}, { [REQUEST.acceptHostKey]: hostKey.fingerprint });
  await cleaned((call) => call.end(clean));
  expect(isGone()).toBe(true);
  const { metadata, status } = world.storedEntry('a');
  expect(metadata.annotations).toEqual({ [ANNOTATION.hostKey]: hostKey.publicKey });
  expect(status).toMatchObject({ reserved: false });
  expect(status?.machineRef).toBeUndefined();
  expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Clean', status: 'True', reason: 'Cleaned' }));
  expect(world.events.reasons).toEqual(['HostKeyAccepted', 'Released']);
});

test.each<[string, (call: ReclaimCall) => void, string, RegExp]>([
  ['a command fails', (call) => call.end({ ...failed, outputTail: 'why\n' }), 'CleanupFailed', /^c\[0\]: failed with exit code 1$/],
  ['nothing says how', (call) => call.end({ outcome: 'NoCleanupKnown', hostKey }), 'NoCleanupKnown', /clean it by hand/],
  ['the host does not answer', (call) => call.fail(new SSHError('ConnectTimeout', '', 'no answer')), 'ConnectTimeout', /^no answer$/],
])('while %s it is told and tried again', async (_name, answer, reason, message) => {
  await deleted(reserved());
  const { told, result } = await cleaned(answer);
  expect(told).toMatchObject({ status: 'Unknown', reason });
  expect(told.message).toMatch(message);
  const wait = (result as { requeueAfter: number }).requeueAfter;
  expect(wait).toBeGreaterThanOrEqual(20);
  expect((await run()).told).toMatchObject({ reason });
  expect(world.executor.calls).toBe(1);
  clock.pass(wait);
  await cleaned((call) => call.end(clean));
  expect(isGone()).toBe(true);
});

test('a mended spec is tried at once', async () => {
  await deleted(reserved());
  await cleaned((call) => call.fail(new SSHError('AuthenticationFailed', '', 'no')));
  await world.patch(REMOTE_MACHINES, 'm', { spec: { user: 'admin', cleanUpCommands: ['mended'] } });
  await cleaned((call) => {
    expect(call.access.target.user).toBe('admin');
    expect(call.how.cleanup?.commands).toEqual([{ name: 'cleanUpCommands[0]', script: 'mended', mayFail: false }]);
    call.end(clean);
  });
  expect(isGone()).toBe(true);
});

describe('after the deadline', () => {
  const soon = { [REQUEST.cleanupDeadline]: '1ms' };

  test('the machine goes, and its entry is in quarantine', async () => {
    await pooled();
    expect((await cleaned((call) => call.end(failed))).told).toMatchObject({ reason: 'CleanupFailed' });
    later(600_001);
    expect((await run()).result).toBe('gone');
    expect(isGone()).toBe(true);
    const { metadata, status } = world.storedEntry('a');
    expect(metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: RUN });
    expect(status?.reserved).toBe(true);
    expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Clean', status: 'False', reason: 'CleanupFailed' }));
    expect(world.events.all).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'CleanupDeadlineExceeded' }));
  });

  test('which an operator whose own clock runs ahead does not bring nearer', async () => {
    await pooled();
    await cleaned((call) => call.end(failed));
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 3 * 3_600_000);
    expect((await run()).told).toMatchObject({ reason: 'CleanupFailed' });
    expect(isGone()).toBe(false);
  });

  test('a host that nobody tried to clean yet is tried once', async () => {
    await pooled(soon);
    later(600_001);
    expect((await cleaned((call) => call.end(clean))).result).toBe('gone');
    expect(world.storedEntry('a').status).toMatchObject({ reserved: false });
  });

  test('a cleanup that hangs holds it no longer', async () => {
    await pooled();
    const { result } = await run();
    await world.until(() => world.executor.calls === 1);
    later((result as { requeueAfter: number }).requeueAfter + 1);
    expect((await run()).result).toBe('gone');
    expect(world.executor.reclaims[0]?.work.signal.aborted).toBe(true);
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: RUN });
  });

  test('a cleanup that waited for its turn has its own time', async () => {
    const others = Promise.withResolvers<never>();
    for (let i = 0; i < 10; i++) world.tasks.ensure(`other/${i}`, 'x', ['total'], () => others.promise);
    await pooled();
    expect(await run()).toMatchObject({ result: { requeueAfter: 600_000 }, told: { message: AWAITS_CONNECTION } });
    later(599_000);
    others.reject(new Error('done'));
    await world.until(() => world.executor.calls === 1);
    expect((await run()).result).toEqual({ requeueAfter: 600_000 });
    later(599_000);
    expect((await run()).result).toEqual({ requeueAfter: 1_000 });
    later(1_000);
    expect((await run()).result).toBe('gone');
  });

  test('why a cleanup failed is told while the next one is under way, and when that does not end', async () => {
    await pooled();
    const { result } = await cleaned((call) => call.end(failed));
    clock.pass((result as { requeueAfter: number }).requeueAfter);
    expect((await run()).told).toMatchObject({ reason: 'CleanupFailed' });
    await world.until(() => world.executor.calls === 2);
    later(1_200_001);
    expect((await run()).result).toBe('gone');
    const why = 'c[0]: failed with exit code 1';
    expect(world.events.all.at(-1)).toMatchObject({ reason: 'CleanupDeadlineExceeded', note: expect.stringContaining(why) as string });
    const told = world.storedEntry('a').status?.conditions?.find(({ type }) => type === 'Clean');
    expect(told).toMatchObject({ reason: 'CleanupFailed', message: expect.stringContaining(why) as string });
  });

  test('0 is never', async () => {
    await deleted(reserved(undefined, { annotations: { [REQUEST.cleanupDeadline]: '0' } }));
    later(1e9);
    const { result, told } = await cleaned((call) => call.end(failed));
    expect(told).toMatchObject({ reason: 'CleanupFailed' });
    expect(result).not.toBe('gone');
  });

  test('time that it was paused does not count', async () => {
    await pooled();
    await cleaned((call) => call.end(failed));
    later(600_001);
    const scope = world.scope();
    const unpaused = new Date(scope.now.getTime() - 1_000).toISOString();
    scope.status.conditions = [{ type: 'Paused', status: 'False', reason: 'NotPaused', message: '', lastTransitionTime: unpaused }];
    expect(await deletion.run(scope)).toMatchObject({ requeueAfter: expect.any(Number) as number });
    expect((await run()).result).toBe('gone');
  });

  test('the entry keeps the host key that the machine knew it by, so that no other one is trusted there', async () => {
    await pooled({ [ANNOTATION.hostKey]: hostKey.publicKey });
    await cleaned((call) => call.end(failed));
    later(600_001);
    await run();
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.hostKey]: hostKey.publicKey });
  });

  test('an entry whose status was lost in a move is in quarantine, too', async () => {
    await pooled();
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { reserved: null, machineRef: null } }, 'status');
    await cleaned((call) => call.end(failed));
    later(600_001);
    await run();
    expect(world.storedEntry('a').metadata.annotations).toMatchObject({ [ANNOTATION.quarantined]: RUN });
  });

  test('an entry that somebody else has by now is left alone', async () => {
    await pooled();
    await cleaned((call) => call.end(failed));
    const other = { status: { machineRef: { name: 'other', namespace: NAMESPACE, uid: 'other' } } };
    await world.patch(POOLED_REMOTE_MACHINES, 'a', other, 'status');
    later(600_001);
    expect((await run()).result).toBe('gone');
    expect(world.storedEntry('a').metadata.annotations).toEqual({});
  });
});

test('a key that went with its namespace is waited for no longer', async () => {
  await world.create(reserved(), [NAMESPACES, { metadata: { name: NAMESPACE, finalizers: ['kubernetes'] } }]);
  await world.delete(REMOTE_MACHINES, 'm');
  expect((await run()).told).toMatchObject({ reason: 'SecretNotFound' });
  world.server.delete(NAMESPACES, { name: NAMESPACE });
  expect((await run()).result).toBe('gone');
});
