/** What the phases of a PooledRemoteMachine work with. */
import type { Cluster } from '../../../apis/cluster/types.ts';
import type { Cache, Client, EventRecorder, Resource } from '../../framework/types.ts';
import type { Allocator } from '../../pool/allocator.ts';
import type { EntryCache, MachineCache } from '../../pool/indexes.ts';
import type { Executor } from '../../runner/execution.ts';
import type { AccessReader } from '../hosts/access.ts';
import type { HostTasks } from '../hosts/tasks.ts';

export interface EntryDeps {
  client: Client;
  entries: EntryCache;
  machines: MachineCache;
  clusters: Cache<Cluster>;
  /** Cluster API's Cluster in the version that is used. */
  clusterResource: Resource;
  allocator: Allocator;
  access: AccessReader;
  executor: Pick<Executor, 'reclaim'>;
  tasks: HostTasks;
  events: EventRecorder;
  watchFilter: string | undefined;
  /** Longest time of one attempt to clean a host, ms. */
  cleanupTimeout: number;
}
