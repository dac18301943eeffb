import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { StoppedClock } from '../testing/clock.ts';
import { ADDRESS, reserved } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import type { MachineScope } from './scope.ts';
import { StatusWriter } from './status.ts';

let world: World;
let writer: StatusWriter;
let clock: StoppedClock;

beforeEach(async () => {
  world = await World.start();
  await world.create(reserved());
  writer = new StatusWriter(world.client, world.events);
  clock = new StoppedClock();
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

/** One reconcile that comes to this. */
async function write(draw: (scope: MachineScope) => void, requeueAfter?: number) {
  const scope = world.scope();
  draw(scope);
  const before = world.stored().metadata.resourceVersion;
  const result = await writer.write(scope, requeueAfter === undefined ? {} : { requeueAfter });
  await world.synced();
  return { written: world.stored().metadata.resourceVersion !== before, after: result.requeueAfter };
}
const waiting =
  (reason: keyof typeof REASON = 'Connecting', message = 'words') =>
  (scope: MachineScope): void =>
    scope.wait(CONDITION.HostReachable, reason, message);
const running =
  (command: string) =>
  (scope: MachineScope): void => {
    scope.status.bootstrap = { phase: 'Running', runID: 'r', command };
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.BootstrapRunning, command);
  };

test('a wait that is over within three seconds is not written', async () => {
  expect(await write(waiting())).toEqual({ written: false, after: 3_000 });
  clock.pass(2_400);
  expect(await write(waiting(), 5_000)).toEqual({ written: false, after: 600 });
  clock.pass(100);
  expect(await write(() => undefined)).toEqual({ written: false, after: undefined });
  expect(world.events.all).toEqual([]);
});

test('one that goes on is written after three seconds, whatever else changed meanwhile', async () => {
  await write(waiting('Connecting'));
  clock.pass(3_000);
  expect(await write(waiting('WaitingForHost'), 7_000)).toEqual({ written: true, after: 7_000 });
  expect(world.stored().status?.conditions).toMatchObject([{ reason: 'WaitingForHost' }, { reason: 'WaitingForHost' }]);
});

test('progress in other words is written at most every twenty seconds, another reason after three', async () => {
  expect((await write(running('a'))).written).toBe(true);
  clock.pass(1_000);
  expect(await write(running('b'))).toEqual({ written: false, after: 19_000 });
  clock.pass(19_000);
  expect((await write(running('b'))).written).toBe(true);
  clock.pass(1);
  expect(await write(waiting('ConnectionLost'))).toEqual({ written: false, after: 3_000 });
});

test.each<[string, (scope: MachineScope) => void]>([
  ['became ready', (scope) => scope.succeed('done')],
  ['has a run that waits to be told of', (scope) => void (scope.status.bootstrap = { phase: 'Claimed', runID: 'r' })],
  ['says so to v1beta1', (scope) => void (scope.status.ready = true)],
  ['failed for good', (scope) => scope.fail(CONDITION.HostReserved, { reason: REASON.NoPoolOrAddress, message: '', terminal: true })],
  ['was paused', (scope) => scope.mark(CONDITION.Paused, 'True', REASON.Paused, '')],
  ['has its Node', (scope) => scope.mark(CONDITION.NodeProviderIDSet, 'True', REASON.NodeProviderIDSet, '')],
  ['has a failed run', (scope) => void (scope.status.bootstrap = { phase: 'Failed', runID: 'r' })],
])('a machine that %s is written at once', async (_name, draw) => expect(await write(draw)).toEqual({ written: true, after: undefined }));

test('the next run of a failed machine, and its failure, are written at once', async () => {
  const fail = (runID: string) => (scope: MachineScope) => {
    scope.status.bootstrap = { phase: 'Failed', runID };
    scope.fail(CONDITION.BootstrapExecSucceeded, { reason: REASON.BootstrapFailed, message: runID, terminal: true });
  };
  expect((await write(fail('r-1'))).written).toBe(true);
  expect((await write(fail('r-2'))).written).toBe(true);
  const again = (scope: MachineScope): void => {
    delete scope.status.bootstrap;
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.Retrying, '');
  };
  expect((await write(again)).written).toBe(true);
  expect(world.stored().status).not.toHaveProperty('bootstrap');
});

test('a write is guarded by what it was drawn up from', async () => {
  const scope = world.scope();
  world.server.patch(REMOTE_MACHINES, scope.name, { metadata: { labels: { a: 'b' } } });
  scope.succeed('done');
  await expect(writer.write(scope, {})).rejects.toMatchObject({ status: 409 });
  expect(world.events.all).toEqual([]);
});

test('a machine that is gone has no status to write', async () => {
  const scope = world.scope();
  world.server.patch(REMOTE_MACHINES, scope.name, { metadata: { finalizers: [] } });
  world.server.delete(REMOTE_MACHINES, scope.name);
  scope.succeed('done');
  expect(await writer.write(scope, {})).toEqual({});
});

test('each change of a condition is an Event once; Ready repeats another one and a machine begins unpaused', async () => {
  const draw = (scope: MachineScope): void => {
    scope.mark(CONDITION.Paused, 'False', REASON.NotPaused, '');
    scope.mark(CONDITION.HostReserved, 'True', REASON.AddressGiven, ADDRESS);
    scope.mark(CONDITION.HostReachable, 'False', REASON.ConnectTimeout, 'late');
    scope.mark(CONDITION.BootstrapExecSucceeded, 'Unknown', REASON.BootstrapRunning, '');
    scope.mark(CONDITION.NodeProviderIDSet, 'Unknown', REASON.NodeAmbiguous, '');
    scope.succeed('done');
  };
  await write(draw);
  await write((scope) => {
    draw(scope);
    scope.mark(CONDITION.HostReachable, 'False', REASON.ConnectTimeout, 'other words');
    scope.status.ready = true;
  });
  expect(world.events.all.map(({ type, reason }) => `${type} ${reason}`)).toEqual([
    'Normal AddressGiven',
    'Warning ConnectTimeout',
    'Normal BootstrapRunning',
    'Warning NodeAmbiguous',
  ]);
});
