import type { KubernetesObject, Node } from '../../../apis/meta.ts';
import { ObjectStore } from '../../framework/cache.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import { ApiError, type Client } from '../../framework/types.ts';
import { type NodeState, type WorkloadConnection, type WorkloadHandlers, WorkloadNodes } from './workload-nodes.ts';

const host = { machineID: 'id', hostname: 'host', addresses: [], providerID: 'remote-machine://10.0.0.1:22' };
const request = (name: string) => ({ namespace: 'ns', name });
const node = (spec: object = {}): Node =>
  ({ metadata: { name: 'n', uid: 'n', resourceVersion: '1' }, spec, status: { nodeInfo: { machineID: 'id' } } }) as Node;

/** A workload cluster that lists its Nodes when the test says so. */
class Workload implements WorkloadConnection {
  readonly server = 'https://workload';
  readonly nodes = new ObjectStore<Node>({ log: new MemoryLogger() });
  readonly patched: string[] = [];
  closed = false;
  synced: Promise<void>;
  list: () => void;
  sets = true;
  constructor() {
    ({ promise: this.synced, resolve: this.list } = Promise.withResolvers<void>());
  }
  setProviderID({ metadata }: Node, providerID: string): Promise<boolean> {
    this.patched.push(`${metadata.name} ${providerID}`);
    return Promise.resolve(this.sets);
  }
  close(): void {
    this.closed = true;
  }
}

let workloads: Workload[];
let handlers: WorkloadHandlers;
let secret: KubernetesObject | undefined;
let woken: string[];
let nodes: WorkloadNodes;

beforeEach(() => {
  jest.useFakeTimers();
  workloads = [];
  woken = [];
  secret = { data: { value: Buffer.from('kubeconfig').toString('base64') } } as unknown as KubernetesObject;
  const get = () => (secret === undefined ? Promise.reject(new ApiError(404, 'NotFound', 'no')) : Promise.resolve(secret));
  const connect = (_kubeconfig: string, given: WorkloadHandlers): Workload => {
    handlers = given;
    const workload = new Workload();
    workloads.push(workload);
    return workload;
  };
  nodes = new WorkloadNodes({ get } as unknown as Client, connect, new MemoryLogger());
  nodes.enqueue = ({ name }) => void woken.push(name);
});
afterEach(() => {
  nodes.shutDown();
  jest.useRealTimers();
});

const observe = (name = 'm', cluster = 'c'): Promise<NodeState> => nodes.observe(request(name), cluster, host);
/** Everything that is due has happened. */
const settle = () => jest.advanceTimersByTimeAsync(0);
async function connected(): Promise<Workload> {
  await observe();
  await settle();
  workloads[0]?.list();
  await settle();
  return workloads[0] as Workload;
}

test('connects once a Cluster, and wakes those that wait once the Nodes are listed', async () => {
  expect(await observe('a')).toMatchObject({ kind: 'waiting', reason: 'WaitingForNode' });
  await observe('b');
  await settle();
  expect(workloads).toHaveLength(1);
  expect(woken).toEqual([]);
  workloads[0]?.list();
  await settle();
  expect(woken).toEqual(['a', 'b']);
});

test('the Node gets the provider ID', async () => {
  const workload = await connected();
  expect(await observe()).toMatchObject({
    kind: 'waiting',
    reason: 'WaitingForNode',
    message: expect.stringContaining('No Node') as string,
  });
  workload.nodes.put(node());
  handlers.changed();
  expect(woken).toContain('m');
  expect(await observe()).toEqual({ kind: 'set', node: 'n' });
  expect(workload.patched).toEqual([`n ${host.providerID}`]);
});

test('a Node that somebody else changed meanwhile is looked at again', async () => {
  const workload = await connected();
  workload.sets = false;
  workload.nodes.put(node());
  expect(await observe()).toMatchObject({ kind: 'waiting', message: 'Node n changed meanwhile; looking at it again' });
});

test('one that has it, or another, is not written to', async () => {
  const workload = await connected();
  workload.nodes.put(node({ providerID: host.providerID }));
  expect(await observe()).toEqual({ kind: 'set', node: 'n' });
  workload.nodes.put({ ...node({ providerID: 'other' }), metadata: { ...node().metadata, resourceVersion: '2' } });
  expect(await observe()).toMatchObject({ kind: 'waiting', reason: 'NodeHasOtherProviderID' });
  expect(workload.patched).toEqual([]);
});

test('a kubeconfig that is not there is read again, from every second to every 30', async () => {
  secret = undefined;
  await observe();
  await settle();
  expect(woken).toEqual(['m']);
  expect(await observe()).toMatchObject({ reason: 'KubeconfigNotFound', message: 'Secret ns/c-kubeconfig does not exist yet' });
  const reads: number[] = [];
  for (let second = 1; second <= 100; second++) {
    woken = [];
    await jest.advanceTimersByTimeAsync(1_000);
    if (woken.length > 0) reads.push(second);
  }
  expect(reads).toEqual([1, 3, 7, 15, 31, 61, 91]);
});

test('a cluster that does not list its Nodes is connected to anew, as its kubeconfig may be out of date', async () => {
  await observe();
  await settle();
  await jest.advanceTimersByTimeAsync(10_000);
  expect(workloads[0]?.closed).toBe(true);
  expect(await observe()).toMatchObject({
    reason: 'WorkloadClusterUnreachable',
    message: expect.stringContaining('https://workload') as string,
  });
  await jest.advanceTimersByTimeAsync(1_000);
  workloads[1]?.list();
  await settle();
  expect(await observe()).toMatchObject({ reason: 'WaitingForNode' });
});

test('one that refuses the list is told of as soon as it has, with its words', async () => {
  await observe();
  await settle();
  handlers.failing(new ApiError(403, 'Forbidden', 'nodes is forbidden: User "u" cannot list'));
  await settle();
  expect(woken).toEqual(['m']);
  expect(await observe()).toMatchObject({ reason: 'Forbidden', message: expect.stringContaining('User "u" cannot list') as string });
  // By then its kubeconfig may be another.
  await jest.advanceTimersByTimeAsync(1_000);
  expect(workloads).toHaveLength(2);
});

test('one whose watch fails for some time is connected to anew with what its kubeconfig says by then', async () => {
  const workload = await connected();
  handlers.failing(new ApiError(401, 'Unauthorized', 'the certificate has expired'));
  expect(workload.closed).toBe(true);
  expect(await observe()).toMatchObject({ reason: 'WorkloadClusterUnreachable', message: expect.stringContaining('expired') as string });
  await jest.advanceTimersByTimeAsync(1_000);
  expect(workloads).toHaveLength(2);
  workloads[1]?.list();
  await settle();
  expect(await observe()).toMatchObject({ reason: 'WaitingForNode' });
});

test('the last machine that leaves ends the watch; a Secret that is read late opens none', async () => {
  const workload = await connected();
  await observe('other');
  nodes.leave('ns/m');
  expect(workload.closed).toBe(false);
  nodes.leave('ns/other');
  expect(workload.closed).toBe(true);
  const late = observe('late');
  nodes.leave('ns/late');
  await late;
  await settle();
  expect(workloads).toHaveLength(1);
});
