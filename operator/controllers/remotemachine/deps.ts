/** What the phases of a RemoteMachine work with. */
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import type { Cluster, Machine } from '../../../apis/cluster/types.ts';
import type { Planner } from '../../bootstrap/plan.ts';
import type { Cache, Client, EventRecorder, Logger, Resource } from '../../framework/types.ts';
import type { Allocator } from '../../pool/allocator.ts';
import type { EntryCache } from '../../pool/indexes.ts';
import type { Executor } from '../../runner/execution.ts';
import type { HostTasks } from '../hosts/tasks.ts';
import type { AccessReader } from '../hosts/access.ts';
import type { WorkloadNodes } from './workload-nodes.ts';

export interface Settings {
  /** --watch-filter. */
  watchFilter: string | undefined;
  /** --bootstrap-timeout, ms. */
  bootstrapTimeout: number;
  /** --cleanup-deadline, ms; 0 is never. */
  cleanupDeadline: number;
  /** --log-run-output. */
  logRunOutput: boolean;
}

export interface MachineDeps {
  client: Client;
  machines: Cache<RemoteMachine>;
  entries: EntryCache;
  owners: Cache<Machine>;
  clusters: Cache<Cluster>;
  /** Cluster API's Machine in the version that is used. */
  ownerResource: Resource;
  allocator: Allocator;
  access: AccessReader;
  executor: Pick<Executor, 'bootstrap' | 'reclaim'>;
  tasks: HostTasks;
  planner: Planner;
  nodes: WorkloadNodes;
  events: EventRecorder;
  settings: Settings;
  log: Logger;
}
