import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Request } from '../../framework/types.ts';
import { cluster, entry, machine, NAMESPACE } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { RemoteMachineReconciler } from './controller.ts';

let world: World;
beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.stop());

const labels = { 'cluster.x-k8s.io/cluster-name': 'c' };
const waiter = (name: string, created: string): ReturnType<typeof machine> =>
  machine(
    { pool: 'p' },
    {
      name,
      labels,
      creationTimestamp: created,
      ownerReferences: [{ apiVersion: 'cluster.x-k8s.io/v1beta2', kind: 'Machine', name, uid: name }],
    },
  );

/** Two machines in line for a pool without hosts, and what is enqueued from then on. */
async function line(): Promise<{ reconcile: (name: string) => Promise<unknown>; enqueued: string[] }> {
  const enqueued: string[] = [];
  const reconciler = new RemoteMachineReconciler(world.deps);
  const queue = { add: ({ name }: Request) => void enqueued.push(name), addAfter: () => undefined };
  const on = reconciler.watch(queue);
  world.entries.onChange(on.entries);
  await world.create(cluster(), waiter('older', '2026-01-01T00:00:00Z'), waiter('younger', '2026-01-02T00:00:00Z'));
  for (const name of ['older', 'younger']) {
    const owner = {
      metadata: { namespace: NAMESPACE, name },
      spec: { clusterName: 'c', bootstrap: {}, infrastructureRef: { kind: 'RemoteMachine', name } },
    };
    await world.create([world.deps.ownerResource, owner]);
  }
  const context = { log: world.log, signal: new AbortController().signal };
  const reconcile = (name: string) => reconciler.reconcile({ namespace: NAMESPACE, name }, context);
  await reconcile('older');
  await reconcile('younger');
  return { reconcile, enqueued };
}

test('a host that comes free is offered to the machine that has waited longest, and to no other', async () => {
  const { enqueued } = await line();
  await world.create(entry('e'));
  expect(enqueued).toEqual(['older']);
});

test.each<[string, () => Promise<void>]>([
  ['paused', () => world.patch(REMOTE_MACHINES, 'older', { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } })],
  ['deleted', () => world.delete(REMOTE_MACHINES, 'older')],
])('one that was offered to a machine which is %s before it takes it is offered to the next', async (_, happens) => {
  const { reconcile, enqueued } = await line();
  await world.create(entry('e'));
  await happens();
  await reconcile('older');
  expect(enqueued).toEqual(['older', 'younger']);
});
