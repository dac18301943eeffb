import { ANNOTATION, ENTRY_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { RunnerError } from '../../runner/types.ts';
import { hostKeyFromBuffer } from '../../ssh/host-keys.ts';
import { SSHError } from '../../ssh/types.ts';
import { Attempts } from '../hosts/attempts.ts';
import { type BootstrapCall, outcome, PUBLIC_KEYS, STARTED } from '../testing/executor.ts';
import { ADDRESS, DATA, entry, NAMESPACE, owner, reserved, RUN, secret, secrets } from '../testing/objects.ts';
import { StoppedClock } from '../testing/clock.ts';
import { World } from '../testing/world.ts';
import { Bootstrap } from './bootstrap.ts';
import type { MachineScope } from './scope.ts';

const [KEY, NEW_KEY] = PUBLIC_KEYS.map((key) => hostKeyFromBuffer(Buffer.from(key.split(' ')[1] ?? '', 'base64'))) as [
  ReturnType<typeof hostKeyFromBuffer>,
  ReturnType<typeof hostKeyFromBuffer>,
];
const timeout = new SSHError('ConnectTimeout', `${ADDRESS}:22`, 'no answer');
const contact = (hostKey = KEY) => ({ facts: { hostname: 'host', hostKey: hostKey.fingerprint }, hostKey });

let clock: StoppedClock;
let world: World;
let bootstrap: Bootstrap;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  bootstrap = new Bootstrap(world.deps, new Attempts(20, 100));
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

async function run(scope = world.scope()) {
  const result = await bootstrap.run(scope);
  await world.synced();
  return { scope, result };
}
/** The run as the host has it, started. */
async function started(): Promise<BootstrapCall> {
  const calls = world.executor.bootstraps.length;
  await run();
  await world.until(() => world.executor.bootstraps.length > calls);
  return world.executor.bootstraps[calls] as BootstrapCall;
}
async function ended(end: (call: BootstrapCall) => void, scope = world.scope()) {
  end(await started());
  await world.ended(scope);
  return run(world.scope());
}
const told = (scope: MachineScope, type: Parameters<MachineScope['condition']>[0]) => {
  const { status, reason, message } = scope.condition(type) ?? {};
  return { status, reason, message };
};

describe('the start', () => {
  test('asks for the run of the data on the host, once', async () => {
    const annotations = { [REQUEST.bootstrapTimeout]: '90s' };
    await world.create(...secrets(), owner(), reserved({ address: ADDRESS, useSudo: true, cleanUpCommands: ['c'] }, { annotations }));
    const { request, access } = await started();
    await run();
    expect(world.executor.calls).toBe(1);
    expect(access).toMatchObject({ target: { address: ADDRESS, user: 'root' }, privilege: 'sudo' });
    expect(request.claimant).toEqual({ runID: RUN, machine: { namespace: NAMESPACE, name: 'm', uid: world.stored().metadata.uid } });
    expect(request).toMatchObject({
      timeout: 90_000,
      options: { commandsAsScript: false, workingDir: '/' },
      cleanup: { commands: [{ script: 'c' }] },
    });
    expect(request.plan?.({}).steps).toHaveLength(1);
  });

  test('says where it connects to', async () => {
    await world.create(...secrets(), owner(), reserved({ address: ADDRESS, user: 'admin', port: 2222 }));
    const { scope, result } = await run();
    expect(result).toEqual({});
    const expected = { status: 'Unknown', reason: 'Connecting', message: `Connecting to admin@${ADDRESS}:2222` };
    expect([told(scope, 'HostReachable'), told(scope, 'Ready')]).toEqual([expected, expected]);
  });

  test('findings of the data are Warning Events', async () => {
    await world.create(...secrets(`${DATA}runcmd: [date]\n`), owner(), reserved());
    await run();
    expect(world.events.all).toMatchObject([
      { type: 'Warning', reason: 'DuplicateKey', note: expect.stringContaining('runcmd (line') as string },
    ]);
  });

  test.each<[string, [ReturnType<typeof secret>, ...ReturnType<typeof secret>[]] | [], string, string, RegExp]>([
    ['no SSH key', [secret('data', { value: DATA })], 'HostReachable', 'SecretNotFound', /Secret ns\/key/],
    ['no data', [secret('key', { value: 'k' })], 'BootstrapExecSucceeded', 'SecretNotFound', /Secret ns\/data/],
    ['no value', [secret('key', { value: 'k' }), secret('data', {})], 'BootstrapExecSucceeded', 'SecretKeyMissing', /Secret ns\/data/],
  ])('%s: told by the condition that it keeps from being True, and read again', async (_name, objects, type, reason, message) => {
    await world.create(...objects, owner(), reserved());
    const { scope, result } = await run();
    expect(told(scope, type as 'Ready')).toMatchObject({ status: type === 'HostReachable' ? 'False' : 'Unknown', reason });
    expect(told(scope, type as 'Ready').message).toMatch(message);
    expect(told(scope, 'Ready').status).toBe('Unknown');
    expect(result?.requeueAfter).toBeGreaterThan(0);
    expect(world.executor.calls).toBe(0);
  });

  test('data that can not be carried out is terminal, and no host is asked', async () => {
    await world.create(...secrets('#cloud-config\nno_such: 1\n'), owner(), reserved());
    const { scope, result } = await run();
    expect(result).toEqual({});
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapKeyUnsupported' });
    expect(told(scope, 'BootstrapExecSucceeded').message).toMatch(/^Bootstrap Secret ns\/data: .*no_such \(line 2\)/);
    expect(world.executor.calls).toBe(0);
  });

  test('a key that clusterctl move would leave behind is named', async () => {
    await world.create(...secrets(), owner(), reserved());
    await world.patch(secret('key', {})[0], 'key', { metadata: { labels: null } });
    await run();
    expect(world.events.reasons).toEqual(['KeyNotMovable']);
  });
});

describe('progress', () => {
  test('from contact to the command that runs', async () => {
    await world.create(...secrets(), owner(), reserved());
    const call = await started();
    call.work.report({ contact: contact() });
    const claimed = await run();
    expect(claimed.scope.status).toMatchObject({ host: { hostname: 'host' }, bootstrap: { runID: RUN, phase: 'Claimed' } });
    expect(told(claimed.scope, 'HostReachable')).toMatchObject({
      status: 'True',
      message: `Connected; the host key is ${KEY.fingerprint}`,
    });
    call.work.report({ contact: contact(), startedAt: STARTED, command: 'runcmd[0]' });
    const running = await run();
    expect(running.scope.status.bootstrap).toEqual({
      runID: RUN,
      phase: 'Running',
      startedAt: STARTED.toISOString(),
      command: 'runcmd[0]',
    });
    expect(told(running.scope, 'Ready')).toEqual({ status: 'Unknown', reason: 'BootstrapRunning', message: 'runcmd[0] runs' });
  });

  test('a run may start once the stored status speaks of it', async () => {
    await world.create(...secrets(), owner(), reserved());
    const call = await started();
    let mayStart = false;
    void call.request.committed.then(() => (mayStart = true));
    call.work.report({ contact: contact() });
    const { scope } = await run();
    const commit = async (stored: MachineScope): Promise<boolean> => {
      bootstrap.commit(stored);
      await Promise.resolve();
      return mayStart;
    };
    const before = await commit(scope);
    await world.patch(REMOTE_MACHINES, 'm', { status: { bootstrap: scope.status.bootstrap } }, 'status');
    expect([before, await commit(world.scope())]).toEqual([false, true]);
  });

  test('a spec that is corrected before contact is tried at once, one after it changes nothing', async () => {
    await world.create(...secrets(), owner(), reserved());
    const first = await started();
    await world.patch(REMOTE_MACHINES, 'm', { spec: { user: 'admin' } });
    const second = await started();
    expect(first.work.signal.aborted).toBe(true);
    expect(second.access.target.user).toBe('admin');
    second.work.report({ contact: contact() });
    await world.patch(REMOTE_MACHINES, 'm', { spec: { user: 'other' } });
    await run();
    expect(second.work.signal.aborted).toBe(false);
    expect(world.executor.bootstraps).toHaveLength(2);
  });
});

describe('a run that the stored status speaks of', () => {
  const begun = { status: { bootstrap: { runID: RUN, phase: 'Running', startedAt: STARTED.toISOString() } } };

  test('is looked for on its host, and its findings are not told twice', async () => {
    await world.create(...secrets(`${DATA}runcmd: [date]\n`), owner(), reserved(undefined, begun));
    expect((await started()).request).toMatchObject({ begun: true });
    expect(world.events.reasons).toEqual([]);
  });

  test.each([
    ['is gone', secrets().slice(0, 1)],
    ['is not what it was', secrets('#cloud-config\nno_such: 1\n')],
  ])('is followed to its end although its data %s', async (_name, objects) => {
    await world.create(...objects, owner(), reserved(undefined, begun));
    const { scope } = await ended((call) => call.end(outcome(KEY)));
    expect(scope.status.bootstrap).toMatchObject({ phase: 'Succeeded' });
    expect(world.stored().spec?.providerID).toBeDefined();
  });

  test('and whose claim is gone from the host has failed for good: it never runs again', async () => {
    await world.create(...secrets(), owner(), reserved(undefined, begun));
    const { scope } = await ended((call) => call.end({ ...outcome(KEY), ended: { phase: 'Lost', holder: undefined } }));
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'ClaimLost' });
    expect(scope.status.bootstrap).toMatchObject({ phase: 'Failed', runID: RUN, startedAt: STARTED.toISOString() });
    await run(scope);
    expect(world.executor.calls).toBe(1);
  });
});

describe('what is to be known of the data', () => {
  test('stands in the condition while the run goes on and when it has succeeded', async () => {
    await world.create(...secrets(`${DATA}runcmd: [date]\n`), owner(), reserved());
    const call = await started();
    expect(call.request.begun).toBe(false);
    call.work.report({ contact: contact(), startedAt: STARTED, command: 'runcmd[0]' });
    expect(told((await run()).scope, 'BootstrapExecSucceeded').message).toMatch(/^runcmd\[0\] runs\. Its data: runcmd \(line 4\): /);
    call.end(outcome(KEY));
    await world.ended(world.scope());
    const { scope } = await run();
    expect(told(scope, 'BootstrapExecSucceeded')).toMatchObject({
      status: 'True',
      message: expect.stringMatching(/^Run m-1 succeeded\. Its data: runcmd/) as string,
    });
  });
});

describe('the end', () => {
  test('of a run that succeeded: the provider ID and the pinned key in one write', async () => {
    await world.create(...secrets(), owner(), reserved());
    const before = world.server.requests.length;
    const { scope, result } = await ended((call) => call.end(outcome(KEY)));
    expect(result).toBeUndefined();
    expect(world.stored()).toMatchObject({
      metadata: { annotations: { [ANNOTATION.hostKey]: KEY.publicKey } },
      spec: { providerID: `remote-machine://${ADDRESS}:22` },
    });
    expect(world.server.requests.slice(before).filter(({ method }) => method === 'PATCH')).toHaveLength(1);
    expect(scope.status.bootstrap).toMatchObject({ phase: 'Succeeded', exitCode: 0 });
    expect(world.events.all).toMatchObject([{ type: 'Normal', reason: 'HostKeyPinned', name: 'm' }]);
    expect(world.tasks.peek(scope.task)).toBeUndefined();
  });

  test('of a run that failed: terminal, told without secrets, and told again whatever was awaited since', async () => {
    await world.create(...secrets(), owner(), reserved());
    const failure = {
      exitCode: 3,
      command: 'runcmd[0]',
      outputTail: 'it said echo a-secret-line > /run/cluster-api/bootstrap-success.complete\n',
    };
    const { scope, result } = await ended((call) => call.end(outcome(KEY, failure)));
    expect(result).toEqual({});
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapFailed' });
    expect(scope.status).toMatchObject({
      failureReason: 'BootstrapFailed',
      bootstrap: { phase: 'Failed', runID: RUN, exitCode: 3, command: 'runcmd[0]' },
    });
    expect(scope.status.failureMessage).toContain('it said [redacted]');
    expect(world.stored().metadata.annotations).toMatchObject({ [ANNOTATION.hostKey]: KEY.publicKey });
    expect(world.stored().spec).not.toHaveProperty('providerID');

    const later = world.scope();
    later.status = structuredClone(scope.status);
    later.wait('HostReserved', 'WaitingForOwnerMachine', 'flaps');
    await run(later);
    expect(told(later, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapFailed' });
    expect(world.executor.calls).toBe(1);
  });

  test('where the data speaks of the sentinel and none was written', async () => {
    await world.create(...secrets(), owner(), reserved());
    const { scope } = await ended((call) => call.end(outcome(KEY, { sentinel: false })));
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'SentinelMissing' });
  });

  test('is read again where the write of it failed', async () => {
    await world.create(...secrets(), owner(), reserved());
    const call = await started();
    call.end(outcome(KEY));
    await world.ended(world.scope());
    world.server.fail({ method: 'PATCH', path: /remotemachines\/m/, status: 409, reason: 'Conflict' });
    await expect(run()).rejects.toMatchObject({ status: 409 });
    await run();
    expect(world.stored().spec?.providerID).toBeDefined();
    expect(world.executor.calls).toBe(1);
  });
});

describe('failures', () => {
  test('are told while they are waited out and while they are tried again, and tried with backoff', async () => {
    await world.create(...secrets(), owner(), reserved());
    const failed = await ended((call) => call.fail(timeout));
    const expected = { status: 'False', reason: 'ConnectTimeout', message: 'no answer' };
    expect(told(failed.scope, 'HostReachable')).toEqual(expected);
    expect(told(failed.scope, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'ConnectTimeout' });
    expect(failed.result?.requeueAfter).toBeGreaterThanOrEqual(20);
    const waits = await run();
    expect(told(waits.scope, 'HostReachable')).toEqual(expected);
    expect(world.executor.calls).toBe(1);
    clock.pass(failed.result?.requeueAfter);
    const again = await run();
    expect(told(again.scope, 'HostReachable')).toEqual(expected);
    await world.until(() => world.executor.calls === 2);
  });

  test.each([
    ['HostNotWritable', 'BootstrapExecSucceeded', 'True'],
    ['RunnerProtocol', 'BootstrapExecSucceeded', 'True'],
  ] as const)('%s: the host was reached', async (reason, type, reachable) => {
    await world.create(...secrets(), owner(), reserved());
    const { scope } = await ended((call) => call.fail(new RunnerError(reason, 'words')));
    expect(told(scope, type)).toMatchObject({ status: 'Unknown', reason });
    expect(told(scope, type).message).toContain(`Host ${ADDRESS}:22: words`);
    expect(told(scope, 'HostReachable').status).toBe(reachable);
  });

  test('what nobody has a name for is logged', async () => {
    await world.create(...secrets(), owner(), reserved());
    const { scope } = await ended((call) => call.fail(new TypeError('oops')));
    expect(told(scope, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'InternalError' });
    expect(world.log.at('error')).toEqual(['an attempt failed']);
  });

  test('a host of a pool that can not be reached is given back while another is free', async () => {
    await world.create(...secrets(), owner(), entry('a'), reserved({ pool: 'p' }));
    const reservation = await world.deps.allocator.reserve(world.machines.get(NAMESPACE, 'm') ?? fail(), {
      failureDomain: undefined,
      startRun: true,
    });
    expect(reservation.kind).toBe('reserved');
    await world.create(entry('b', { machine: { address: '10.0.0.2', sshKeyRef: { name: 'key' } } }));
    const { scope, result } = await ended((call) => call.fail(timeout));
    expect(result).toEqual({ requeueAfter: 0 });
    expect(scope.entry?.metadata.name).toBe('b');
    expect(world.storedEntry('a').status).toMatchObject({ reserved: false });
    expect(world.storedEntry('a').status?.conditions).toContainEqual(expect.objectContaining({ type: 'Reachable', status: 'False' }));
    expect(world.events.all).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'ConnectTimeout' }));
  });
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
    const { uid } = world.stored().metadata;
    await world.patch(
      POOLED_REMOTE_MACHINES,
      'a',
      { status: { reserved: true, machineRef: { name: 'm', namespace: NAMESPACE, uid } } },
      'status',
    );
  };

  test.each([
    ['the machine', accept, {}],
    ['the entry', {}, accept],
    ['both', accept, accept],
  ])('that was accepted on %s replaces the pins at contact, and the acceptance is used up', async (_name, onMachine, onEntry) => {
    await pooled(onMachine, onEntry);
    const call = await started();
    expect(call.access.target.hostKeys).toMatchObject({ expected: { keys: [KEY.publicKey] }, trustOnFirstUse: false });
    expect(call.access.target.hostKeys.accepted).toContain(NEW_KEY.fingerprint);
    call.work.report({ contact: contact(NEW_KEY) });
    await run();
    for (const { metadata } of [world.stored(), world.storedEntry('a')]) {
      expect(metadata.annotations).toMatchObject({ [ANNOTATION.hostKey]: NEW_KEY.publicKey });
      expect(metadata.annotations).not.toHaveProperty([REQUEST.acceptHostKey]);
    }
    await run();
    expect(world.events.reasons).toEqual(['HostKeyAccepted']);
  });

  test('an acceptance of another key than the host has stays, and the entry of a run that lasts is held', async () => {
    await pooled(accept, {});
    const foreign = { type: 'Clean', status: 'False', reason: 'HostInUse', message: '', lastTransitionTime: STARTED.toISOString() };
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { conditions: [foreign] } }, 'status');
    const call = await started();
    call.work.report({ contact: contact(KEY) });
    await run();
    // One that is over soon needs no request for it before it is ready.
    expect(world.storedEntry('a').metadata.finalizers).toBeUndefined();
    await world.patch(REMOTE_MACHINES, 'm', { status: { bootstrap: { phase: 'Running' } } }, 'status');
    call.work.report({ contact: contact(KEY), startedAt: STARTED });
    await run();
    const { status } = world.storedEntry('a');
    expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Clean', status: 'True', reason: 'Reserved' }));
    // By which a restored entry tells that somebody has its host.
    expect(world.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
    expect(world.stored().metadata.annotations).toMatchObject(accept);
    expect(world.events.all).toEqual([]);
  });

  test('is not pinned over host keys of the spec: the acceptance stays', async () => {
    await world.create(...secrets(), owner(), reserved({ address: ADDRESS, hostKeys: [KEY.publicKey] }, { annotations: accept }));
    await ended((call) => call.end(outcome(NEW_KEY)));
    expect(world.stored().metadata.annotations).toMatchObject(accept);
    expect(world.stored().metadata.annotations).not.toHaveProperty([ANNOTATION.hostKey]);
    expect(world.events.all).toMatchObject([{ reason: 'HostKeyAccepted', note: expect.stringContaining('name it in the spec') as string }]);
  });
});

function fail(): never {
  throw new Error('there is no machine');
}
