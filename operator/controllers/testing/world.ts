/** Everything that the phases of a RemoteMachine work with, real but for the hosts: an API server, caches, tasks, and hands to drive them. */
import type { Cluster, Machine } from '../../../apis/cluster/types.ts';
import { CONFIG_MAPS, NAMESPACES, SECRETS } from '../../../apis/core.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { KubernetesObject } from '../../../apis/meta.ts';
import { isDeclared } from '../../../apis/rights.ts';
import { planBootstrap } from '../../bootstrap/planner.ts';
import { BackgroundTasks } from '../../framework/background.ts';
import { ApiClient } from '../../framework/client.ts';
import { Informer } from '../../framework/informer.ts';
import { FakeApiServer } from '../../framework/testing/api-server.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import type { EventRecorder, Resource } from '../../framework/types.ts';
import { Allocator } from '../../pool/allocator.ts';
import { ENTRY_INDEXES, MACHINE_INDEXES } from '../../pool/indexes.ts';
import type { Progress } from '../../runner/execution.ts';
import { AccessReader } from '../hosts/access.ts';
import type { HostOutcome } from '../hosts/tasks.ts';
import type { MachineDeps } from '../remotemachine/deps.ts';
import { MachineScope } from '../remotemachine/scope.ts';
import { type WorkloadConnect, WorkloadNodes } from '../remotemachine/workload-nodes.ts';
import { FakeExecutor } from './executor.ts';
import { CLUSTERS, NAMESPACE, OWNERS } from './objects.ts';

export interface RecordedEvent {
  type: string;
  reason: string;
  kind: string;
  name: string;
  note: string;
}

export class RecordedEvents implements EventRecorder {
  readonly all: RecordedEvent[] = [];
  event({ kind, metadata }: KubernetesObject, type: string, reason: string, _action: string, note: string): void {
    this.all.push({ type, reason, kind, name: metadata.name, note });
  }
  get reasons(): string[] {
    return this.all.map(({ reason }) => reason);
  }
}

const noWorkload: WorkloadConnect = () => {
  throw new Error('this test has no workload cluster');
};

export class World {
  readonly server: FakeApiServer;
  readonly client: ApiClient;
  readonly log = new MemoryLogger();
  readonly events = new RecordedEvents();
  readonly executor = new FakeExecutor();
  readonly tasks: BackgroundTasks<Progress, HostOutcome>;
  readonly machines: Informer<RemoteMachine>;
  readonly entries: Informer<PooledRemoteMachine>;
  readonly owners: Informer<Machine>;
  readonly clusters: Informer<Cluster>;
  readonly deps: MachineDeps;
  readonly #stop = new AbortController();
  readonly #changed = new Set<() => void>();

  private constructor(server: FakeApiServer, connect: WorkloadConnect) {
    this.server = server;
    this.client = new ApiClient({ access: server.access(), version: 'test', log: this.log, isDeclared });
    const from = { client: this.client, log: this.log, freeze: true };
    this.machines = new Informer({ ...from, resource: REMOTE_MACHINES, indexers: MACHINE_INDEXES });
    this.entries = new Informer({ ...from, resource: POOLED_REMOTE_MACHINES, indexers: ENTRY_INDEXES });
    this.owners = new Informer({ ...from, resource: OWNERS });
    this.clusters = new Informer({ ...from, resource: CLUSTERS });
    this.tasks = new BackgroundTasks({ slots: () => 10, onChange: this.#notify });
    const { client, log, machines, entries, owners, clusters, events, executor, tasks } = this;
    this.deps = {
      ...{ client, log, machines, entries, owners, clusters, events, executor, tasks },
      ownerResource: OWNERS,
      allocator: new Allocator(client, entries, machines),
      access: new AccessReader(client),
      planner: (data, instance) => Promise.resolve().then(() => planBootstrap(data, instance)),
      nodes: new WorkloadNodes(client, connect, log),
      settings: { watchFilter: undefined, bootstrapTimeout: 3_600_000, cleanupDeadline: 600_000, logRunOutput: false },
    };
    for (const cache of this.#caches()) cache.onChange(this.#notify);
  }

  static async start(connect: WorkloadConnect = noWorkload): Promise<World> {
    const resources = [REMOTE_MACHINES, POOLED_REMOTE_MACHINES, OWNERS, CLUSTERS, SECRETS, CONFIG_MAPS, NAMESPACES];
    const world = new World(await FakeApiServer.start(resources, { withoutStatus: ['secrets', 'configmaps'] }), connect);
    for (const cache of world.#caches()) void cache.run(world.#stop.signal);
    await Promise.all(world.#caches().map(({ synced }) => synced));
    return world;
  }

  async stop(): Promise<void> {
    await this.tasks.shutDown();
    this.deps.nodes.shutDown();
    this.#stop.abort();
    this.client.close();
    await this.server.stop();
  }

  /** Creates objects as a user would, and waits until the caches have them. */
  async create(...objects: [Resource, object][]): Promise<void> {
    for (const [resource, object] of objects) this.server.create(resource, object);
    await this.synced();
  }

  /** Changes an object as a user would. */
  async patch(resource: Resource, name: string, body: object, subresource?: 'status'): Promise<void> {
    this.server.patch(resource, { namespace: NAMESPACE, name }, body, subresource);
    await this.synced();
  }

  /** The entry's status names the machine `m`. */
  async bind(entryName: string): Promise<void> {
    const machineRef = { name: 'm', namespace: NAMESPACE, uid: this.stored().metadata.uid };
    await this.patch(POOLED_REMOTE_MACHINES, entryName, { status: { reserved: true, machineRef } }, 'status');
  }

  async delete(resource: Resource, name: string): Promise<void> {
    this.server.delete(resource, { namespace: NAMESPACE, name });
    await this.synced();
  }

  stored(name = 'm'): RemoteMachine {
    return this.server.get<RemoteMachine>(REMOTE_MACHINES, { namespace: NAMESPACE, name });
  }
  storedEntry(name: string): PooledRemoteMachine {
    return this.server.get<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name });
  }

  /** The caches have what the server has. */
  synced(): Promise<void> {
    const version = (resource: Resource, { metadata }: KubernetesObject): string =>
      `${resource.plural}/${metadata.name}/${metadata.resourceVersion}`;
    return this.until(() =>
      this.#caches().every((cache) => {
        const stored = this.server.list(cache.resource).map((object) => version(cache.resource, object));
        const cached = cache.list().map((object) => version(cache.resource, object));
        return stored.toSorted().join() === cached.toSorted().join();
      }),
    );
  }

  /** Resolves once it holds; it is looked at after each change of a cache or a task. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        const once = (): void => {
          this.#changed.delete(once);
          resolve();
        };
        this.#changed.add(once);
      });
    }
  }

  /** What the machine's task came to is there to be read. */
  ended(scope: MachineScope): Promise<void> {
    return this.until(() => ['done', 'failed'].includes(this.tasks.peek(scope.task)?.state.phase ?? ''));
  }

  /** A new reconcile of the machine, with its owner, its Cluster and its entry as they are now. */
  scope(name = 'm'): MachineScope {
    const machine = this.machines.get(NAMESPACE, name);
    if (machine === undefined) throw new Error(`there is no RemoteMachine ${name}`);
    const scope = new MachineScope(machine, { log: this.log, signal: this.#stop.signal, now: this.deps.client.now() });
    scope.owner = this.owners.get(NAMESPACE, name);
    scope.cluster = this.clusters.get(NAMESPACE, 'c');
    scope.entry = this.deps.allocator.entryOf(machine);
    return scope;
  }

  #caches() {
    return [this.machines, this.entries, this.owners, this.clusters] as Informer<KubernetesObject>[];
  }

  readonly #notify = (): void => {
    for (const look of [...this.#changed]) look();
  };
}
