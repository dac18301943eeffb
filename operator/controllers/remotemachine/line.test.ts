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
  world.machines.onChange(on.machines);
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
  enqueued.length = 0;
  return { reconcile, enqueued };
}

test('a host that comes free is offered to the machine that has waited longest, and to no other', async () => {
  const { enqueued } = await line();
  await world.create(entry('e'));
  expect(enqueued).toEqual(['older']);
});

test.each([
  ['asks for a host that the pool has not', { address: 'nowhere' }],
  ['asks for a host that another machine has', { address: 'taken' }],
])('one that %s does not stand before the others', async (_name, spec) => {
  const { reconcile, enqueued } = await line();
  await world.create(
    entry('taken', { machine: { address: 'taken' } }, {}, { reserved: true, machineRef: { name: 'x', namespace: NAMESPACE, uid: 'x' } }),
  );
  await world.patch(REMOTE_MACHINES, 'older', { spec });
  await reconcile('older');
  enqueued.length = 0;
  await world.create(entry('e'));
  expect(enqueued).toEqual(['younger']);
});

test('one whose Cluster is not ready any more is passed over', async () => {
  const { reconcile, enqueued } = await line();
  await world.patch(cluster()[0], 'c', { status: { initialization: { infrastructureProvisioned: false } } }, 'status');
  await reconcile('older');
  await world.create(entry('e'));
  expect(enqueued).toEqual(['younger']);
});

test('a machine that waits for a host which another one names is woken when that one is corrected', async () => {
  const { reconcile, enqueued } = await line();
  const created = '2026-01-01T00:00:00Z';
  await world.create(machine({ address: '10.0.0.9' }, { name: 'wrong', creationTimestamp: created }));
  await world.patch(REMOTE_MACHINES, 'younger', { spec: { pool: null, address: '10.0.0.9' } });
  await reconcile('younger');
  enqueued.length = 0;
  await world.patch(REMOTE_MACHINES, 'wrong', { spec: { address: '10.0.0.8' } });
  expect(enqueued).toContain('younger');
});

test.each<[string, () => Promise<void>]>([
  ['paused', () => world.patch(REMOTE_MACHINES, 'older', { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } })],
  ['deleted', () => world.delete(REMOTE_MACHINES, 'older')],
])('one that was offered to a machine which is %s before it takes it is offered to the next', async (_, happens) => {
  const { reconcile, enqueued } = await line();
  await world.create(entry('e'));
  await happens();
  await reconcile('older');
  expect([...new Set(enqueued)]).toEqual(['older', 'younger']);
});

describe('a large pool is not gone through', () => {
  afterEach(() => void jest.restoreAllMocks());
  /** How often the free entries were looked for since. */
  const counted = () => {
    const byIndex = jest.spyOn(world.entries, 'byIndex');
    return () => byIndex.mock.calls.filter(([index]) => index === 'free').length;
  };

  test('for each of its entries where nobody waits for one', async () => {
    const reconciler = new RemoteMachineReconciler(world.deps);
    world.entries.onChange(reconciler.watch({ add: () => undefined, addAfter: () => undefined }).entries);
    const looks = counted();
    await world.create(entry('a'), entry('b'), entry('c'));
    expect(looks()).toBe(0);
  });

  test('for each of them again where one who waited leaves', async () => {
    const { reconcile, enqueued } = await line();
    await world.create(entry('a'), entry('b'), entry('c'));
    await world.delete(REMOTE_MACHINES, 'older');
    enqueued.length = 0;
    const looks = counted();
    await reconcile('older');
    expect([looks(), new Set(enqueued)]).toEqual([1, new Set(['younger'])]);
  });
});
