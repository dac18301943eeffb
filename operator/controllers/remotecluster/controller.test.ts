import type { Cluster } from '../../../apis/cluster/types.ts';
import { isDeclared } from '../../../apis/rights.ts';
import type { RemoteCluster } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_CLUSTERS } from '../../../apis/infrastructure/resources.ts';
import type { KubernetesObject } from '../../../apis/meta.ts';
import { ApiClient } from '../../framework/client.ts';
import { Informer } from '../../framework/informer.ts';
import { FakeApiServer } from '../../framework/testing/api-server.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import type { Resource } from '../../framework/types.ts';
import { CLUSTERS, NAMESPACE } from '../testing/objects.ts';
import { RecordedEvents } from '../testing/world.ts';
import { CLUSTER_INDEXES, RemoteClusterReconciler } from './controller.ts';

const PAUSED = 'cluster.x-k8s.io/paused';
const AS_IT_WAS = { ready: false, conditions: [] };
const log = new MemoryLogger();
const events = new RecordedEvents();
const woken = new Set<string>();
let server: FakeApiServer;
let client: ApiClient;
let stop: AbortController;
let remoteClusters: Informer<RemoteCluster>;
let clusters: Informer<Cluster>;
let changed = (): void => undefined;

beforeEach(async () => {
  server = await FakeApiServer.start([REMOTE_CLUSTERS, CLUSTERS]);
  client = new ApiClient({ access: server.access(), version: 'test', log, isDeclared });
  stop = new AbortController();
  const from = { client, log, freeze: true };
  remoteClusters = new Informer({ ...from, resource: REMOTE_CLUSTERS });
  clusters = new Informer({ ...from, resource: CLUSTERS, indexers: CLUSTER_INDEXES });
  const on = reconciler().watch({ add: ({ namespace, name }) => void woken.add(`${namespace}/${name}`), addAfter: () => undefined });
  remoteClusters.onChange(on.remoteClusters);
  clusters.onChange(on.clusters);
  for (const cache of [remoteClusters, clusters] as Informer<KubernetesObject>[]) {
    cache.onChange(() => changed());
    void cache.run(stop.signal);
    await cache.synced;
  }
});
afterEach(async () => {
  stop.abort();
  client.close();
  await server.stop();
  events.all.length = 0;
});

function reconciler(watchFilter?: string): RemoteClusterReconciler {
  return new RemoteClusterReconciler({ client, remoteClusters, clusters, events, watchFilter });
}
/** The caches have what the server has. */
async function synced(): Promise<void> {
  const versions = (objects: KubernetesObject[]): string =>
    objects
      .map(({ metadata }) => metadata.resourceVersion)
      .sort()
      .join();
  const holds = (): boolean =>
    [remoteClusters, clusters].every((cache) => versions(server.list(cache.resource)) === versions(cache.list() as KubernetesObject[]));
  while (!holds()) await new Promise<void>((resolve) => (changed = resolve));
}
async function create(...objects: [Resource, object][]): Promise<void> {
  for (const [resource, object] of objects) server.create(resource, object);
  await synced();
}
async function patch(resource: Resource, body: object): Promise<void> {
  server.patch(resource, { namespace: NAMESPACE, name: 'c' }, body);
  await synced();
}
async function remove(resource: Resource): Promise<void> {
  server.delete(resource, { namespace: NAMESPACE, name: 'c' });
  await synced();
}
async function reconcile(watchFilter?: string): Promise<void> {
  await reconciler(watchFilter).reconcile({ namespace: NAMESPACE, name: 'c' });
  await synced();
}

const remoteCluster = (spec: object | null = {}, metadata: object = {}, status?: object): [Resource, object] => [
  REMOTE_CLUSTERS,
  { metadata: { namespace: NAMESPACE, name: 'c', ...metadata }, spec, ...(status && { status }) },
];
const cluster = (spec: Cluster['spec'], name = 'c'): [Resource, object] => [CLUSTERS, { metadata: { namespace: NAMESPACE, name }, spec }];
const referring = (paused: boolean, name = 'c') => cluster({ paused, infrastructureRef: { kind: 'RemoteCluster', name: 'c' } }, name);

const stored = (): RemoteCluster => server.get<RemoteCluster>(REMOTE_CLUSTERS, { namespace: NAMESPACE, name: 'c' });
const told = (): Record<string, string> =>
  Object.fromEntries((stored().status?.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]));
const messageOf = (type: string): string | undefined => stored().status?.conditions?.find((one) => one.type === type)?.message;
const READY = { Ready: 'True Provisioned', Paused: 'False NotPaused' };
/** What is written from now on. */
async function writes(during: () => Promise<unknown>): Promise<{ path: string; body: unknown }[]> {
  const before = server.requests.length;
  await during();
  return server.requests.slice(before).flatMap(({ method, path, body }) => (method === 'GET' ? [] : [{ path, body }]));
}

describe('there is nothing to set up', () => {
  test.each([
    ['an empty spec', {}],
    ['no spec, as `spec:` alone is', null],
    ['an endpoint', { controlPlaneEndpoint: { host: '10.0.0.1', port: 6443 } }],
  ])('with %s it is ready in both contracts, without a Cluster', async (_name, spec) => {
    await create(remoteCluster(spec));
    const before = stored();
    await reconcile();
    expect(stored().status).toEqual({
      ready: true,
      initialization: { provisioned: true },
      conditions: expect.arrayContaining([
        expect.objectContaining({ type: 'Ready', status: 'True', reason: 'Provisioned', observedGeneration: 1 }),
        expect.objectContaining({ type: 'Paused', status: 'False', reason: 'NotPaused', observedGeneration: 1 }),
      ]) as unknown,
    });
    expect(stored().spec).toEqual(before.spec);
    expect(stored().metadata).not.toHaveProperty('finalizers');
    expect(events.all).toMatchObject([{ type: 'Normal', reason: 'Provisioned', kind: 'RemoteCluster', name: 'c' }]);
  });

  test('it is written once, in the status alone and on the version that was read', async () => {
    await create(remoteCluster(), referring(false));
    const { resourceVersion } = stored().metadata;
    const written = await writes(() => reconcile());
    expect(written).toHaveLength(1);
    expect(written[0]?.path).toMatch(/\/remoteclusters\/c\/status$/);
    expect(written[0]?.body).toMatchObject({ metadata: { resourceVersion } });
    expect(await writes(() => reconcile())).toEqual([]);
    expect(events.reasons).toEqual(['Provisioned']);
  });

  test('where somebody came before the write it is done again, and the Event comes once', async () => {
    await create(remoteCluster());
    server.fail({ method: 'PATCH', status: 409, reason: 'Conflict' });
    await expect(reconcile()).rejects.toMatchObject({ status: 409 });
    expect(events.all).toEqual([]);
    await reconcile();
    expect(told()).toEqual(READY);
    expect(events.reasons).toEqual(['Provisioned']);
  });

  test('a status that was lost is there again', async () => {
    await create(remoteCluster({}, {}, AS_IT_WAS));
    await reconcile();
    expect(stored().status).toMatchObject({ ready: true, initialization: { provisioned: true } });
  });
});

describe('failure domains', () => {
  const failureDomains = [
    { name: 'x', controlPlane: true, attributes: { rack: '1' } },
    { name: 'y', controlPlane: false },
  ];

  test('are reported as they are given, changed and taken away', async () => {
    await create(remoteCluster({ failureDomains }));
    await reconcile();
    expect(stored().status?.failureDomains).toEqual(failureDomains);
    await patch(REMOTE_CLUSTERS, { spec: { failureDomains: failureDomains.slice(1) } });
    await reconcile();
    expect(stored().status?.failureDomains).toEqual(failureDomains.slice(1));
    await patch(REMOTE_CLUSTERS, { spec: { failureDomains: null } });
    await reconcile();
    expect(stored().status).not.toHaveProperty('failureDomains');
    expect(stored().status).toMatchObject({ ready: true });
    expect(events.reasons).toEqual(['Provisioned']);
  });
});

describe('paused', () => {
  const ownedBy = (apiVersion: string, kind: string) => ({ ownerReferences: [{ apiVersion, kind, name: 'o', uid: 'u' }] });
  const unrelated = (paused: boolean) => cluster({ paused }, 'o');

  test.each<[string, object, [Resource, object][], string]>([
    ['its annotation', { annotations: { [PAUSED]: '' } }, [], `Paused: annotation ${PAUSED} is set`],
    ['the Cluster that refers to it', {}, [referring(true, 'x')], 'Paused: Cluster x is paused'],
    ['the Cluster that owns it', ownedBy('cluster.x-k8s.io/v1beta1', 'Cluster'), [unrelated(true)], 'Paused: Cluster o is paused'],
    ['the Cluster of its label', { labels: { 'cluster.x-k8s.io/cluster-name': 'o' } }, [unrelated(true)], 'Paused: Cluster o is paused'],
  ])('by %s it says so and keeps what it had', async (_name, metadata, objects, message) => {
    await create(remoteCluster({ failureDomains: [{ name: 'x' }] }, metadata), ...objects);
    await reconcile();
    expect(told()).toEqual({ Paused: 'True Paused' });
    expect(messageOf('Paused')).toBe(message);
    for (const field of ['ready', 'initialization', 'failureDomains']) expect(stored().status).not.toHaveProperty(field);
    expect(await writes(() => reconcile())).toEqual([]);
    expect(events.all).toEqual([]);
  });

  test.each<[string, object, [Resource, object][]]>([
    ['a Cluster with other infrastructure', {}, [cluster({ paused: true, infrastructureRef: { kind: 'DockerCluster', name: 'c' } })]],
    ['another Cluster', {}, [unrelated(true)]],
    ['an owner of another group', ownedBy('example.com/v1', 'Cluster'), [unrelated(true)]],
    ['an owner of another kind', ownedBy('cluster.x-k8s.io/v1beta2', 'ClusterClass'), [unrelated(true)]],
    ['its former Cluster', ownedBy('cluster.x-k8s.io/v1beta2', 'Cluster'), [unrelated(true), referring(false)]],
  ])('not by %s', async (_name, metadata, objects) => {
    await create(remoteCluster({}, metadata), ...objects);
    await reconcile();
    expect(told()).toEqual(READY);
  });

  test('a ready one stays ready, and takes over afterwards what was changed meanwhile', async () => {
    await create(remoteCluster(), referring(false));
    await reconcile();
    await patch(CLUSTERS, { spec: { paused: true } });
    await patch(REMOTE_CLUSTERS, { spec: { failureDomains: [{ name: 'x' }] } });
    await reconcile();
    expect(told()).toEqual({ ...READY, Paused: 'True Paused' });
    expect(stored().status).toMatchObject({ ready: true, initialization: { provisioned: true } });
    expect(stored().status).not.toHaveProperty('failureDomains');
    await patch(CLUSTERS, { spec: { paused: false } });
    await reconcile();
    expect(told()).toEqual(READY);
    expect(stored().status).toMatchObject({ failureDomains: [{ name: 'x' }] });
  });
});

describe('left alone is one', () => {
  test.each<[string, object, string | undefined]>([
    ['that is managed externally', { annotations: { 'cluster.x-k8s.io/managed-by': '' } }, undefined],
    ['that is managed externally and paused', { annotations: { 'cluster.x-k8s.io/managed-by': 'x', [PAUSED]: '' } }, undefined],
    ['of another manager', { labels: { 'cluster.x-k8s.io/watch-filter': 'other' } }, 'mine'],
    ['of no manager, where this one has a filter', {}, 'mine'],
  ])('%s', async (_name, metadata, filter) => {
    await create(remoteCluster({}, metadata, AS_IT_WAS));
    expect(await writes(() => reconcile(filter))).toEqual([]);
    expect(stored().status).toEqual(AS_IT_WAS);
    expect(events.all).toEqual([]);
  });

  test('that is being deleted, or gone', async () => {
    await create(remoteCluster({}, { finalizers: ['example.com/other'] }));
    await remove(REMOTE_CLUSTERS);
    expect(await writes(() => reconcile())).toEqual([]);
    await patch(REMOTE_CLUSTERS, { metadata: { finalizers: [] } });
    expect(remoteClusters.get(NAMESPACE, 'c')).toBeUndefined();
    expect(await writes(() => reconcile())).toEqual([]);
    expect(events.all).toEqual([]);
  });

  test('not one with the label of this manager', async () => {
    await create(remoteCluster({}, { labels: { 'cluster.x-k8s.io/watch-filter': 'mine' } }));
    await reconcile('mine');
    expect(told()).toEqual(READY);
  });
});

describe('what wakes a RemoteCluster', () => {
  const wokenBy = async (change: () => Promise<unknown>): Promise<string[]> => {
    woken.clear();
    await change();
    return [...woken];
  };

  test('every change of its own', async () => {
    expect(await wokenBy(() => create(remoteCluster()))).toEqual(['ns/c']);
    expect(await wokenBy(() => patch(REMOTE_CLUSTERS, { metadata: { annotations: { [PAUSED]: '' } } }))).toEqual(['ns/c']);
    expect(await wokenBy(() => remove(REMOTE_CLUSTERS))).toEqual(['ns/c']);
  });

  test('the Cluster that refers to it, when it comes, goes, is paused or unpaused', async () => {
    expect(await wokenBy(() => create(cluster({ infrastructureRef: { kind: 'RemoteCluster', name: 'other' } })))).toEqual(['ns/other']);
    expect(await wokenBy(() => patch(CLUSTERS, { metadata: { labels: { a: 'b' } } }))).toEqual([]);
    expect(await wokenBy(() => patch(CLUSTERS, { spec: { paused: true } }))).toEqual(['ns/other']);
    expect(await wokenBy(() => patch(CLUSTERS, { spec: { paused: false } }))).toEqual(['ns/other']);
    expect(await wokenBy(() => remove(CLUSTERS))).toEqual(['ns/other']);
  });

  test('a Cluster that begins to refer to it, and one that ends', async () => {
    await create(cluster({}));
    const refer = (name: string) => patch(CLUSTERS, { spec: { infrastructureRef: { kind: 'RemoteCluster', name } } });
    expect(await wokenBy(() => refer('c'))).toEqual(['ns/c']);
    expect(await wokenBy(() => refer('other'))).toEqual(['ns/other', 'ns/c']);
  });

  test('no Cluster with other infrastructure, or none yet', async () => {
    expect(await wokenBy(() => create(cluster({ infrastructureRef: { kind: 'DockerCluster', name: 'c' } }), cluster({}, 'x')))).toEqual([]);
    expect(await wokenBy(() => patch(CLUSTERS, { spec: { paused: true } }))).toEqual([]);
  });
});
