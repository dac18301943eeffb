/** What people and tools do to the objects. */
import { type AnyObject, type Client, ignoreNotFound, type Manifest, type NamedReference } from '../../env/client.ts';
import type { Entry } from '../../fixtures/pool.ts';
import { bootstrapData, DATA, keySecret } from '../workload.ts';
import { KEY, NAMESPACE, type World } from '../world.ts';
import type { Fault, Scene } from './fault.ts';

const secret = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', namespace: NAMESPACE, name });

async function remoteMachine({ world }: Scene, pick: number): Promise<AnyObject | undefined> {
  const { apiVersion, kind } = world.objects.ref('RemoteMachine', '');
  const all = await world.client.list({ apiVersion, kind, namespace: NAMESPACE });
  return all[pick % Math.max(1, all.length)];
}

async function reservedEntry({ client, objects }: World, pick: number): Promise<Entry | undefined> {
  const list = <T extends AnyObject>(kind: 'PooledRemoteMachine' | 'RemoteMachine'): Promise<T[]> =>
    client.list<T>({ apiVersion: objects.ref(kind, '').apiVersion, kind, namespace: NAMESPACE });
  const live = (await list('RemoteMachine')).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const uids = new Set(live.map(({ metadata }) => metadata.uid));
  const all = (await list<Entry>('PooledRemoteMachine')).filter(({ status }) => uids.has(status?.machineRef?.uid));
  return all[pick % Math.max(1, all.length)];
}

const deleted = (name: string, anew: (world: World) => Manifest): Fault['begin'] => {
  return async ({ world }) => {
    await world.client.delete(secret(name));
    return async () => {
      await world.client.apply(anew(world));
    };
  };
};

/** Done to an entry that a live machine has, unless it goes meanwhile; GitOps makes it anew once it is gone. */
const entryFault = (name: string, work: (client: Client, reference: NamedReference) => Promise<unknown>): Fault => ({
  name,
  lasts: 0,
  begin: async ({ world, random }) => {
    const entry = await reservedEntry(world, random.integer(0, 1_000));
    if (entry !== undefined) await work(world.client, world.objects.ref('PooledRemoteMachine', entry.metadata.name)).catch(ignoreNotFound);
    return undefined;
  },
});

export const objectFaults: Fault[] = [
  { name: 'SSH key Secret deleted', lasts: 3_000, begin: deleted(KEY, (world) => keySecret(world, 0)) },
  { name: 'bootstrap Secret deleted', lasts: 3_000, begin: deleted(DATA, bootstrapData) },
  {
    name: 'SSH key Secret replaced by garbage',
    lasts: 3_000,
    begin: async ({ world }) => {
      await world.client.apply({ ...keySecret(world, 0), stringData: { value: 'no key' } });
      return async () => {
        await world.client.apply(keySecret(world, 0));
      };
    },
  },
  {
    name: 'SSH key rotated',
    lasts: 0,
    begin: async ({ world, random }) => {
      await world.client.apply(keySecret(world, random.integer(0, world.keys.length - 1)));
      return undefined;
    },
  },
  {
    name: 'reserved entry edited',
    lasts: 0,
    begin: async ({ world, random }) => {
      const [pick, mark] = [random.integer(0, 1_000), random.integer(0, 1_000)];
      const entry = await reservedEntry(world, pick);
      if (entry === undefined) return undefined;
      const reference = world.objects.ref('PooledRemoteMachine', entry.metadata.name);
      const edit = { metadata: { labels: { edited: `v${mark}` } }, spec: { failureDomain: `zone-${mark % 3}` } };
      await world.client.patch(reference, edit).catch(ignoreNotFound);
      return undefined;
    },
  },
  entryFault('reserved entry deleted, and made anew by GitOps', (client, reference) => client.delete(reference)),
  entryFault('reserved entry deleted in the foreground, as Argo CD prunes', (client, reference) => client.delete(reference, 'Foreground')),
  entryFault('reserved entry deleted with its finalizers, as clusterctl move does it', async (client, reference) => {
    await client.patch(reference, { metadata: { annotations: { 'clusterctl.cluster.x-k8s.io/delete-for-move': '' }, finalizers: null } });
    await client.delete(reference);
  }),
  {
    name: 'RemoteMachine deleted by accident',
    lasts: 2_000,
    begin: async (scene) => {
      const { client, objects } = scene.world;
      const machine = await remoteMachine(scene, scene.random.integer(0, 1_000));
      if (machine === undefined) return undefined;
      await client.delete(objects.ref('RemoteMachine', machine.metadata.name));
      // Whoever did it sees what it led to: Cluster API does not replace a Machine that lost its infrastructure before it was provisioned.
      // Both have one name; the Machine may not own it yet.
      return () => client.delete(objects.clusterRef('Machine', machine.metadata.name));
    },
  },
];
