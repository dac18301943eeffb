import { ANNOTATION, MACHINE_FINALIZER } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { ApiError } from '../../framework/types.ts';
import { StoppedClock } from '../testing/clock.ts';
import { outcome } from '../testing/executor.ts';
import { ADDRESS, cluster, entry, machine, NAMESPACE, owner, reserved, secrets } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { RemoteMachineReconciler } from './controller.ts';
import { KEY } from './testing.ts';
import type { WorkloadNodes } from './workload-nodes.ts';

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
  const context = { log: world.log, signal: new AbortController().signal };
  const rejected = await reconciler.reconcile(request, context).then(
    () => undefined,
    (error: unknown) => error,
  );
  await world.synced();
  return rejected;
}
/** Patches of these objects are refused; what is told once nothing is held back. */
async function refused(path: RegExp): Promise<Record<string, string>> {
  world.server.fail({ method: 'PATCH', path, status: 403, reason: 'Forbidden', times: 2 });
  for (let look = 0; look < 2; look++) {
    expect(await reconcile()).toMatchObject({ status: 403 });
    clock.pass(20_000);
  }
  return told();
}
function told(): Record<string, string> {
  const conditions = world.stored().status?.conditions ?? [];
  return Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}
const PROVISIONED = { address: ADDRESS, providerID: `remote-machine://${ADDRESS}:22` };

test('a reservation that the API server refuses is told', async () => {
  await world.create(...secrets(), cluster(), owner(), machine({ address: ADDRESS }));
  expect(await refused(/remotemachines\/m$/)).toMatchObject({ HostReserved: 'Unknown Forbidden', Ready: 'Unknown Forbidden' });
});

test('the provider ID of a run that succeeded: its refusal is told, and it is set once it may be', async () => {
  await world.create(...secrets(), cluster(), owner(), reserved());
  await reconcile();
  await world.until(() => world.executor.bootstraps.length === 1);
  world.executor.bootstraps[0]?.end(outcome(KEY));
  await world.ended(world.scope());
  expect(await refused(/remotemachines\/m$/)).toMatchObject({ BootstrapExecSucceeded: 'Unknown Forbidden', Ready: 'Unknown Forbidden' });
  await reconcile();
  expect(told()).toMatchObject({ Ready: 'True Provisioned' });
});

describe('of a provisioned machine Ready does not fall, and the refusal is told', () => {
  test("of its entry's status", async () => {
    const annotations = { [ANNOTATION.poolEntry]: 'a' };
    await world.create(cluster(), owner(), entry('a'), reserved({ ...PROVISIONED, pool: 'p' }, { annotations, status: { ready: true } }));
    const { uid } = world.stored().metadata;
    const machineRef = { name: 'm', namespace: NAMESPACE, uid };
    await world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { reserved: true, machineRef } }, 'status');
    expect(await refused(/pooledremotemachines\/a\/status$/)).toMatchObject({
      NodeProviderIDSet: 'Unknown Forbidden',
      Ready: 'True Provisioned',
    });
  });

  test('of its Node, by the workload cluster', async () => {
    await world.create(cluster(), owner(), reserved(PROVISIONED, { status: { ready: true } }));
    const refusal = new ApiError(403, 'Forbidden', 'nodes "n" is forbidden');
    const nodes = { observe: () => Promise.reject(refusal), leave: () => undefined } as unknown as WorkloadNodes;
    reconciler = new RemoteMachineReconciler({ ...world.deps, nodes });
    for (let look = 0; look < 2; look++) {
      expect(await reconcile()).toBe(refusal);
      clock.pass(20_000);
    }
    expect(told()).toMatchObject({ NodeProviderIDSet: 'Unknown Forbidden', Ready: 'True Provisioned' });
  });
});

test('a deletion that may not end says so', async () => {
  await world.create(machine({ pool: 'p' }, { finalizers: [MACHINE_FINALIZER] }));
  await world.delete(REMOTE_MACHINES, 'm');
  expect(await refused(/remotemachines\/m$/)).toMatchObject({ CleanedUp: 'Unknown Forbidden' });
});

test('a conflict, which only says to read again, is nothing to tell', async () => {
  await world.create(...secrets(), cluster(), owner(), machine({ address: ADDRESS }));
  world.server.fail({ method: 'PATCH', path: /remotemachines\/m$/, status: 409, reason: 'Conflict', times: 2 });
  for (let look = 0; look < 2; look++) {
    expect(await reconcile()).toMatchObject({ status: 409 });
    clock.pass(20_000);
  }
  expect(world.stored().status).toBeUndefined();
});
