import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { SSHError } from '../../ssh/types.ts';
import { StoppedClock } from '../testing/clock.ts';
import { type BootstrapCall, outcome, type ReclaimCall } from '../testing/executor.ts';
import { cluster, entry, machine, NAMESPACE, owner, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { RemoteMachineReconciler } from './controller.ts';
import { contact, KEY } from './testing.ts';

const [FIRST, OTHER] = ['10.0.0.1', '10.0.0.2'];
let clock: StoppedClock;
let world: World;
let reconciler: RemoteMachineReconciler;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  reconciler = new RemoteMachineReconciler(world.deps);
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

async function reconcile() {
  const request = { namespace: NAMESPACE, name: 'm' };
  const result = await reconciler.reconcile(request, { log: world.log, signal: new AbortController().signal });
  await world.synced();
  return result;
}
async function bootstrap(index: number): Promise<BootstrapCall> {
  await reconcile();
  await world.until(() => world.executor.bootstraps.length > index);
  return world.executor.bootstraps[index] as BootstrapCall;
}
async function reclaim(index = 0): Promise<ReclaimCall> {
  await reconcile();
  await world.until(() => world.executor.reclaims.length > index);
  return world.executor.reclaims[index] as ReclaimCall;
}
/** The machine on its way to the first host. */
async function begun(): Promise<BootstrapCall> {
  await world.create(...secrets(), cluster(), owner(), machine({ address: FIRST }));
  return bootstrap(0);
}
/** The first host has the claim, and nobody has told so yet. */
async function claimed(): Promise<BootstrapCall> {
  const call = await begun();
  call.request.onTouch();
  call.work.report({ contact: contact() });
  return call;
}
const name = (address: string | null) => world.patch(REMOTE_MACHINES, 'm', { spec: { address } });
const runIDOf = ({ request }: BootstrapCall): string => request.claimant.runID;
const isStarted = async ({ request }: BootstrapCall): Promise<boolean> =>
  Promise.race([request.committed.then(() => true), new Promise<false>((resolve) => setImmediate(() => resolve(false)))]);
async function givenBack(call: ReclaimCall): Promise<void> {
  call.end({ outcome: 'Clean', ran: false, hostKey: KEY });
  await world.ended(world.scope());
  await reconcile();
}

test.each<[string, () => Promise<BootstrapCall>]>([
  ['has the claim', claimed],
  [
    'may have it, as the answer is still to come',
    async () => {
      const call = await begun();
      call.work.signal.addEventListener('abort', () => call.request.onTouch());
      return call;
    },
  ],
])('a host that is named no more and %s is given back before the other one has a run', async (_name, first) => {
  const call = await first();
  await name(OTHER);
  const { access, isOurs, ...given } = await reclaim();
  expect([call.work.signal.aborted, await isStarted(call)]).toEqual([true, false]);
  expect(access.target.address).toBe(FIRST);
  expect(isOurs({ runID: runIDOf(call), machine: { namespace: '', name: '', uid: '' } })).toBe(true);
  const ready = () => world.stored().status?.conditions?.find(({ type }) => type === 'Ready');
  clock.pass(20_000);
  await reconcile();
  expect(ready()).toMatchObject({ status: 'Unknown', reason: 'WaitingForCleanup', message: expect.stringContaining(FIRST) as string });
  expect(world.executor.bootstraps).toHaveLength(1);

  await givenBack({ access, isOurs, ...given });
  const second = await bootstrap(1);
  expect(second.access.target.address).toBe(OTHER);
  expect(runIDOf(second)).not.toBe(runIDOf(call));
  second.end(outcome(KEY));
  await world.ended(world.scope());
  await reconcile();
  expect(world.stored()).toMatchObject({ spec: { providerID: `remote-machine://${OTHER}:22` }, status: { ready: true } });
  expect(world.executor.reclaims).toHaveLength(1);
});

test('a host to which nothing was sent is left at once', async () => {
  const call = await begun();
  await name(OTHER);
  expect((await bootstrap(1)).access.target.address).toBe(OTHER);
  expect(call.work.signal.aborted).toBe(true);
  expect(world.executor.reclaims).toEqual([]);
});

test.each([
  ['names another host', OTHER],
  ['names none', null],
])('a machine that %s and is deleted cleans the one that has its claim', async (_name, address) => {
  await claimed();
  await name(address);
  await world.delete(REMOTE_MACHINES, 'm');
  const call = await reclaim();
  expect(call.access.target.address).toBe(FIRST);
  await givenBack(call);
  expect(world.machines.get(NAMESPACE, 'm')).toBeUndefined();
  expect(world.events.all).toContainEqual(expect.objectContaining({ reason: 'Cleaned', note: expect.stringContaining(FIRST) as string }));
});

test('a change back ends no cleanup half way: what is begun there then is another run', async () => {
  const call = await claimed();
  await name(OTHER);
  const cleaning = await reclaim();
  await name(FIRST);
  await reconcile();
  expect(cleaning.work.signal.aborted).toBe(false);
  await givenBack(cleaning);
  const second = await bootstrap(1);
  expect(second.access.target.address).toBe(FIRST);
  expect(runIDOf(second)).not.toBe(runIDOf(call));
});

test('a host that is out of reach is told of and asked again, and nothing begins on the other one', async () => {
  await claimed();
  await name(OTHER);
  const call = await reclaim();
  clock.pass(20_000);
  call.fail(new SSHError('ConnectTimeout', `${FIRST}:22`, 'no answer'));
  await world.ended(world.scope());
  expect((await reconcile())?.requeueAfter).toBeGreaterThan(0);
  const told = world.stored().status?.conditions?.find(({ type }) => type === 'BootstrapExecSucceeded');
  expect(told?.message).toMatch(/10\.0\.0\.1:22, which run m-\w+ may have claimed, is given back first, which is tried again: no answer/);
  clock.pass(20_000);
  expect((await reclaim(1)).access.target.address).toBe(FIRST);
  expect(world.executor.bootstraps).toHaveLength(1);
});

test('a run that its status tells of goes on, whatever way to its host is named by then', async () => {
  const call = await claimed();
  await reconcile();
  expect(world.stored().status?.bootstrap).toMatchObject({ runID: world.stored().metadata.annotations?.[ANNOTATION.runID] });
  await world.patch(REMOTE_MACHINES, 'm', { spec: { bastions: [{ address: 'bastion', hostKeys: [KEY.publicKey] }] } });
  await reconcile();
  expect([call.work.signal.aborted, await isStarted(call)]).toEqual([false, true]);
  expect(world.executor.reclaims).toEqual([]);
});

describe('a machine whose entry is taken away while the host is being connected to', () => {
  const host = (address: string) => ({ machine: { address, sshKeyRef: { name: 'key' } } });
  const inPool = async (): Promise<BootstrapCall> => {
    await world.create(...secrets(), cluster(), owner(), machine({ pool: 'p' }), entry('a', host(FIRST)), entry('b', host(OTHER)));
    return bootstrap(0);
  };

  test('stays where it is if its claim may be there', async () => {
    const call = await inPool();
    call.work.signal.addEventListener('abort', () => call.request.onTouch());
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    const second = await bootstrap(1);
    expect([call.work.signal.aborted, second.access.target.address]).toEqual([true, FIRST]);
    expect(runIDOf(second)).toBe(runIDOf(call));
    expect(world.stored().spec?.address).toBe(FIRST);
  });

  test('goes on to another one if nothing was sent, with another run', async () => {
    const call = await inPool();
    await world.delete(POOLED_REMOTE_MACHINES, 'a');
    const second = await bootstrap(1);
    expect([call.work.signal.aborted, second.access.target.address]).toEqual([true, OTHER]);
    expect(runIDOf(second)).not.toBe(runIDOf(call));
  });
});
