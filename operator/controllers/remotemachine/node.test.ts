import { ApiError } from '../../framework/types.ts';
import type { NodeState } from './workload-nodes.ts';
import { OWNERS, owner, reserved } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import type { MachineDeps } from './deps.ts';
import { setNodeProviderID } from './node.ts';

const PROVISIONED = { address: '10.0.0.1', providerID: 'remote-machine://10.0.0.1:22' };
let world: World;
let observed: unknown[];
let left: string[];
beforeEach(async () => {
  world = await World.start();
  [observed, left] = [[], []];
});
afterEach(() => world.stop());

/** The phase, with a workload cluster that stands as `state` says. */
async function run(state: NodeState | ApiError) {
  const nodes = {
    observe: (...args: unknown[]) => {
      observed.push(args);
      return state instanceof ApiError ? Promise.reject(state) : Promise.resolve(state);
    },
    leave: (key: string) => left.push(key),
  };
  const scope = world.scope();
  scope.status = { ...scope.status, host: { machineID: 'id', hostname: 'h' }, addresses: [{ type: 'ExternalIP', address: '10.0.0.1' }] };
  const result = await setNodeProviderID({ ...world.deps, nodes } as unknown as MachineDeps, scope).catch((error: unknown) => error);
  const { status, reason, message } = scope.condition('NodeProviderIDSet') ?? {};
  return { result, told: { status, reason, message }, ready: scope.condition('Ready') };
}
const waiting: NodeState = { kind: 'waiting', reason: 'NodeAmbiguous', message: 'a, b' };

test('asks for the Node of this host', async () => {
  await world.create(owner(), reserved(PROVISIONED));
  expect((await run({ kind: 'set', node: 'n' })).told).toEqual({
    status: 'True',
    reason: 'NodeProviderIDSet',
    message: 'Node n has the provider ID',
  });
  const identity = { machineID: 'id', hostname: 'h', addresses: ['10.0.0.1'], providerID: PROVISIONED.providerID };
  expect(observed).toEqual([[{ namespace: 'ns', name: 'm' }, 'c', identity]]);
  expect(left).toEqual(['ns/m']);
});

test('what it waits for is told, and Ready does not fall for it', async () => {
  await world.create(owner(), reserved(PROVISIONED));
  const { told, ready } = await run(waiting);
  expect(told).toEqual({ status: 'Unknown', reason: 'NodeAmbiguous', message: 'a, b' });
  expect(ready).toBeUndefined();
  expect(left).toEqual([]);
});

test.each([
  [new ApiError(403, 'Forbidden', 'cannot patch'), 'Forbidden', 'The workload cluster refuses the user of its kubeconfig: cannot patch'],
  [new ApiError(422, 'Invalid', 'no such ID'), 'WorkloadClusterUnreachable', 'The workload cluster refuses a request: no such ID'],
  [new ApiError(0, 'Timeout', 'no answer'), 'WorkloadClusterUnreachable', "The workload cluster can't be reached: no answer"],
])('what the workload cluster does not do is told, and asked for again: %s', async (error, reason, message) => {
  await world.create(owner(), reserved(PROVISIONED));
  const { told, result } = await run(error);
  expect(told).toEqual({ status: 'Unknown', reason, message });
  expect(result).toBe(error);
});

test('a Node that Cluster API has found needs no look', async () => {
  await world.create(owner(), reserved(PROVISIONED));
  await world.patch(OWNERS, 'm', { status: { nodeRef: { name: 'n' } } }, 'status');
  expect((await run(waiting)).told).toMatchObject({ status: 'True' });
  expect(observed).toEqual([]);
  expect(left).toEqual(['ns/m']);
});

test.each([
  ['no provider ID', reserved(), owner()],
  ['no Machine', reserved(PROVISIONED, { labels: { 'cluster.x-k8s.io/cluster-name': 'c' } }), undefined],
  ['no Cluster', reserved(PROVISIONED), undefined],
])('%s: nothing to do', async (_name, machine, machineOwner) => {
  await world.create(machine, ...(machineOwner === undefined ? [] : [machineOwner]));
  expect((await run(waiting)).result).toEqual({});
  expect(observed).toEqual([]);
});
