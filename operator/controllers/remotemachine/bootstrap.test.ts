import { SECRETS } from '../../../apis/core.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { RunnerError } from '../../runner/types.ts';
import { SSHError } from '../../ssh/types.ts';
import { outcome, STARTED } from '../testing/executor.ts';
import { ADDRESS, DATA, entry, NAMESPACE, owner, reserved, RUN, secret, secrets } from '../testing/objects.ts';
import { StoppedClock } from '../testing/clock.ts';
import { World } from '../testing/world.ts';
import type { MachineScope } from './scope.ts';
import { BootstrapDriver, contact, KEY, told } from './testing.ts';

const timeout = new SSHError('ConnectTimeout', `${ADDRESS}:22`, 'no answer');

let clock: StoppedClock;
let world: World;
let driver: BootstrapDriver;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  driver = new BootstrapDriver(world);
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

describe('the start', () => {
  test('asks for the run of the data on the host, once', async () => {
    const annotations = { [REQUEST.bootstrapTimeout]: '90s' };
    await world.create(...secrets(), owner(), reserved({ address: ADDRESS, useSudo: true, cleanUpCommands: ['c'] }, { annotations }));
    const { request, access } = await driver.started();
    await driver.run();
    expect(world.executor.calls).toBe(1);
    expect(access).toMatchObject({ target: { address: ADDRESS, user: 'root' }, privilege: 'sudo' });
    expect(request.claimant).toEqual({ runID: RUN, machine: { namespace: NAMESPACE, name: 'm', uid: world.stored().metadata.uid } });
    expect(request).toMatchObject({
      timeout: 90_000,
      options: { commandsAsScript: false, workingDir: '/' },
      cleanup: { commands: [{ script: 'c' }] },
    });
    expect((await request.plan?.({ facts: {}, release: {}, libc: '' }))?.steps).toHaveLength(1);
  });

  test.each([
    ['another host would have, too: made once', DATA, 1],
    ['names the host: made anew by what that says', '#cloud-config\nmanage_etc_hosts: true\n', 2],
  ])('a plan that %s', async (_name, data, plans) => {
    const planner = jest.fn(world.deps.planner);
    world.deps.planner = planner;
    await world.create(...secrets(data), owner(), reserved());
    const { request } = await driver.started();
    const planned = await request.plan?.({ facts: { hostname: 'host' }, release: {}, libc: '' });
    expect(planner).toHaveBeenCalledTimes(plans);
    expect(await planner.mock.results.at(-1)?.value).toBe(planned);
  });

  test('says where it connects to', async () => {
    await world.create(...secrets(), owner(), reserved({ address: ADDRESS, user: 'admin', port: 2222 }));
    const { scope, result } = await driver.run();
    expect(result).toEqual({});
    const expected = { status: 'Unknown', reason: 'Connecting', message: `Connecting to admin@${ADDRESS}:2222` };
    expect([told(scope, 'HostReachable'), told(scope, 'Ready')]).toEqual([expected, expected]);
  });

  test('findings of the data are Warning Events', async () => {
    await world.create(...secrets(`${DATA}runcmd: [date]\n`), owner(), reserved());
    await driver.run();
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
    const { scope, result } = await driver.run();
    expect(told(scope, type as 'Ready')).toMatchObject({ status: type === 'HostReachable' ? 'False' : 'Unknown', reason });
    expect(told(scope, type as 'Ready').message).toMatch(message);
    expect(told(scope, 'Ready').status).toBe('Unknown');
    expect(result?.requeueAfter).toBeGreaterThan(0);
    expect(world.executor.calls).toBe(0);
  });

  test('data that can not be carried out is terminal, and no host is asked', async () => {
    await world.create(...secrets('#cloud-config\nno_such: 1\n'), owner(), reserved());
    const { scope, result } = await driver.run();
    expect(result).toEqual({});
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapKeyUnsupported' });
    expect(told(scope, 'BootstrapExecSucceeded').message).toMatch(/^Bootstrap Secret ns\/data: .*no_such \(line 2\)/);
    expect(world.executor.calls).toBe(0);
  });

  test('a key that clusterctl move would leave behind is named', async () => {
    await world.create(...secrets(), owner(), reserved());
    await world.patch(secret('key', {})[0], 'key', { metadata: { labels: null } });
    await driver.run();
    expect(world.events.reasons).toEqual(['KeyNotMovable']);
  });
});

describe('a template that names something of its host', () => {
  const template = (body: string) => secrets(`## template: jinja\n#cloud-config\n${body}`);
  const said = (ID: string) => ({ facts: { hostname: 'host' }, release: { ID }, libc: '' });

  test('is planned by what the host says, and what is to be known of that plan is told, once', async () => {
    await world.create(
      ...template("runcmd: [echo {{ v1.distro.split('-')[1] }} of-the-data]\nbootcmd: [{{ nope }}]\n"),
      owner(),
      reserved(),
    );
    const call = await driver.started();
    expect([call.request.asksHost, world.events.reasons]).toEqual([true, []]);
    expect(await call.request.plan?.(said('opensuse-leap'))).toMatchObject({ steps: [{}, {}, { script: 'echo leap of-the-data' }] });
    expect(world.events.reasons).toEqual(['TemplateVariableMissing', 'RunsOnceOnly']);
    const failure = { exitCode: 1, command: 'runcmd[0]', outputTail: '+ echo leap of-the-data\n' };
    call.end(outcome(KEY, failure));
    await world.ended(world.scope());
    const { scope } = await driver.run();
    expect(scope.status.failureMessage).toContain('+ [redacted]');
    expect(world.events.reasons.filter((reason) => reason === 'TemplateVariableMissing')).toHaveLength(1);
  });

  test('and that the host makes one that can not be carried out is terminal, and asked of no host again until it is corrected', async () => {
    await world.create(...template("{% if v1.distro == 'debian' %}phone_home: {}{% endif %}\n"), owner(), reserved());
    const call = await driver.started();
    await call.request.plan?.(said('debian')).catch(call.fail);
    await world.ended(world.scope());
    const { scope, result } = await driver.run();
    expect(result).toEqual({});
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapKeyUnsupported' });
    expect(told(scope, 'BootstrapExecSucceeded').message).toMatch(/^Bootstrap Secret ns\/data: .*phone_home \(line 3\)/);
    expect(told(scope, 'HostReachable')).toMatchObject({ status: 'True', message: 'The host answered' });
    const again = await driver.run();
    expect(told(again.scope, 'Ready')).toEqual(told(scope, 'Ready'));
    expect(world.executor.calls).toBe(1);
    await world.patch(secret('data', {})[0], 'data', { data: { value: Buffer.from(DATA).toString('base64') } });
    await driver.started();
    expect(world.executor.calls).toBe(2);
  });

  test('is refused without asking where the host does not matter', async () => {
    await world.create(...template('runcmd: [{{ v1.instance_id + 1 }}, {{ v1.distro }}]\n'), owner(), reserved());
    const { scope } = await driver.run();
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapDataInvalid' });
    expect(world.executor.calls).toBe(0);
  });
});

describe('progress', () => {
  test('from contact to the command that runs', async () => {
    await world.create(...secrets(), owner(), reserved());
    const call = await driver.started();
    call.work.report({ contact: contact() });
    const claimed = await driver.run();
    expect(claimed.scope.status).toMatchObject({ host: { hostname: 'host' }, bootstrap: { runID: RUN, phase: 'Claimed' } });
    expect(told(claimed.scope, 'HostReachable')).toMatchObject({
      status: 'True',
      message: `Connected; the host key is ${KEY.fingerprint}`,
    });
    call.work.report({ contact: contact(), startedAt: STARTED, command: 'runcmd[0]' });
    const running = await driver.run();
    expect(running.scope.status.bootstrap).toEqual({
      runID: RUN,
      dataVersion: world.server.get(SECRETS, { namespace: NAMESPACE, name: 'data' }).metadata.resourceVersion,
      phase: 'Running',
      startedAt: STARTED.toISOString(),
      command: 'runcmd[0]',
    });
    expect(told(running.scope, 'Ready')).toEqual({ status: 'Unknown', reason: 'BootstrapRunning', message: 'runcmd[0] runs' });
  });

  test('a run may start once the stored status speaks of it', async () => {
    await world.create(...secrets(), owner(), reserved());
    const call = await driver.started();
    let mayStart = false;
    void call.request.committed.then(() => (mayStart = true));
    call.work.report({ contact: contact() });
    const { scope } = await driver.run();
    const commit = async (stored: MachineScope): Promise<boolean> => {
      driver.bootstrap.commit(stored);
      await Promise.resolve();
      return mayStart;
    };
    const before = await commit(scope);
    await world.patch(REMOTE_MACHINES, 'm', { status: { bootstrap: scope.status.bootstrap } }, 'status');
    expect([before, await commit(world.scope())]).toEqual([false, true]);
  });

  test('a spec that is corrected before contact is tried at once, one after it changes nothing', async () => {
    await world.create(...secrets(), owner(), reserved());
    const first = await driver.started();
    await world.patch(REMOTE_MACHINES, 'm', { spec: { user: 'admin' } });
    const second = await driver.started();
    expect(first.work.signal.aborted).toBe(true);
    expect(second.access.target.user).toBe('admin');
    second.work.report({ contact: contact() });
    await world.patch(REMOTE_MACHINES, 'm', { spec: { user: 'other' } });
    await driver.run();
    expect(second.work.signal.aborted).toBe(false);
    expect(world.executor.bootstraps).toHaveLength(2);
  });
});

describe('a run that the stored status speaks of', () => {
  const begun = { status: { bootstrap: { runID: RUN, phase: 'Running', startedAt: STARTED.toISOString() } } };

  test('is looked for on its host, and its findings are not told twice', async () => {
    await world.create(...secrets(`${DATA}runcmd: [date]\n`), owner(), reserved(undefined, begun));
    expect((await driver.started()).request).toMatchObject({ begun: true });
    expect(world.events.reasons).toEqual([]);
  });

  test.each([
    ['is gone', secrets().slice(0, 1)],
    ['is not what it was', secrets('#cloud-config\nno_such: 1\n')],
  ])('is followed to its end although its data %s', async (_name, objects) => {
    await world.create(...objects, owner(), reserved(undefined, begun));
    const { scope } = await driver.ended((call) => call.end(outcome(KEY)));
    expect(scope.status.bootstrap).toMatchObject({ phase: 'Succeeded' });
    expect(world.stored().spec?.providerID).toBeDefined();
  });

  test.each([
    ['is shown where its data is the same', undefined, 'it said [redacted]'],
    ['is not shown where its data is another by now, as nobody knows what was secret in it', 'another', ''],
  ])('what it printed %s', async (_name, dataVersion, shown) => {
    await world.create(...secrets(), owner(), reserved(undefined, begun));
    const version = world.server.get(SECRETS, { namespace: NAMESPACE, name: 'data' }).metadata.resourceVersion;
    const bootstrap = { ...begun.status.bootstrap, dataVersion: dataVersion ?? version };
    await world.patch(REMOTE_MACHINES, 'm', { status: { bootstrap } }, 'status');
    const outputTail = 'it said echo a-secret-line > /run/cluster-api/bootstrap-success.complete\n';
    const { scope } = await driver.ended((call) => call.end(outcome(KEY, { exitCode: 3, command: 'runcmd[0]', outputTail })));
    expect(scope.status.failureMessage).toMatch(shown === '' ? /retry=m-1$/ : /Last output:\nit said \[redacted\]/);
    expect(scope.status.bootstrap).toMatchObject({ phase: 'Failed', dataVersion: bootstrap.dataVersion });
  });

  test('and whose claim is gone from the host has failed for good: it never runs again', async () => {
    await world.create(...secrets(), owner(), reserved(undefined, begun));
    const { scope } = await driver.ended((call) => call.end({ ...outcome(KEY), ended: { phase: 'Lost', holder: undefined } }));
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'ClaimLost' });
    expect(scope.status.bootstrap).toMatchObject({ phase: 'Failed', runID: RUN, startedAt: STARTED.toISOString() });
    await driver.run(scope);
    expect(world.executor.calls).toBe(1);
  });
});

describe('what is to be known of the data', () => {
  test('stands in the condition while the run goes on and when it has succeeded', async () => {
    await world.create(...secrets(`${DATA}runcmd: [date]\n`), owner(), reserved());
    const call = await driver.started();
    expect(call.request.begun).toBe(false);
    call.work.report({ contact: contact(), startedAt: STARTED, command: 'runcmd[0]' });
    expect(told((await driver.run()).scope, 'BootstrapExecSucceeded').message).toMatch(/^runcmd\[0\] runs\. Its data: runcmd \(line 4\): /);
    call.end(outcome(KEY));
    await world.ended(world.scope());
    const { scope } = await driver.run();
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
    const { scope, result } = await driver.ended((call) => call.end(outcome(KEY)));
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
    const { scope, result } = await driver.ended((call) => call.end(outcome(KEY, failure)));
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
    await driver.run(later);
    expect(told(later, 'Ready')).toMatchObject({ status: 'False', reason: 'BootstrapFailed' });
    expect(world.executor.calls).toBe(1);
  });

  test('where the data speaks of the sentinel and none was written', async () => {
    await world.create(...secrets(), owner(), reserved());
    const { scope } = await driver.ended((call) => call.end(outcome(KEY, { sentinel: false })));
    expect(told(scope, 'Ready')).toMatchObject({ status: 'False', reason: 'SentinelMissing' });
  });

  test('is read again where the write of it failed', async () => {
    await world.create(...secrets(), owner(), reserved());
    const call = await driver.started();
    call.end(outcome(KEY));
    await world.ended(world.scope());
    world.server.fail({ method: 'PATCH', path: /remotemachines\/m/, status: 409, reason: 'Conflict' });
    await expect(driver.run()).rejects.toMatchObject({ status: 409 });
    await driver.run();
    expect(world.stored().spec?.providerID).toBeDefined();
    expect(world.executor.calls).toBe(1);
  });
});

describe('failures', () => {
  test('are told while they are waited out and while they are tried again, and tried with backoff', async () => {
    await world.create(...secrets(), owner(), reserved());
    const failed = await driver.ended((call) => call.fail(timeout));
    const expected = { status: 'False', reason: 'ConnectTimeout', message: 'no answer' };
    expect(told(failed.scope, 'HostReachable')).toEqual(expected);
    expect(told(failed.scope, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'ConnectTimeout' });
    expect(failed.result?.requeueAfter).toBeGreaterThanOrEqual(20);
    const waits = await driver.run();
    expect(told(waits.scope, 'HostReachable')).toEqual(expected);
    expect(world.executor.calls).toBe(1);
    clock.pass(failed.result?.requeueAfter);
    const again = await driver.run();
    expect(told(again.scope, 'HostReachable')).toEqual(expected);
    await world.until(() => world.executor.calls === 2);
  });

  test.each([
    ['HostNotWritable', 'BootstrapExecSucceeded', 'True'],
    ['RunnerProtocol', 'BootstrapExecSucceeded', 'True'],
  ] as const)('%s: the host was reached', async (reason, type, reachable) => {
    await world.create(...secrets(), owner(), reserved());
    const { scope } = await driver.ended((call) => call.fail(new RunnerError(reason, 'words')));
    expect(told(scope, type)).toMatchObject({ status: 'Unknown', reason });
    expect(told(scope, type).message).toContain(`Host ${ADDRESS}:22: words`);
    expect(told(scope, 'HostReachable').status).toBe(reachable);
  });

  test('what nobody has a name for is logged', async () => {
    await world.create(...secrets(), owner(), reserved());
    const { scope } = await driver.ended((call) => call.fail(new TypeError('oops')));
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
    const { scope, result } = await driver.ended((call) => call.fail(timeout));
    expect(result).toEqual({ requeueAfter: 0 });
    expect(scope.entry?.metadata.name).toBe('b');
    expect(world.storedEntry('a').status).toMatchObject({ reserved: false });
    expect(world.storedEntry('a').status?.conditions).toContainEqual(expect.objectContaining({ type: 'Reachable', status: 'False' }));
    expect(world.events.all).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'ConnectTimeout' }));
  });
});

function fail(): never {
  throw new Error('there is no machine');
}
