/** An API server with entries and machines, and allocators on it that each have a client and caches of their own. */
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { isDeclared } from '../../../apis/rights.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { KubernetesObject } from '../../../apis/meta.ts';
import { ApiClient } from '../../framework/client.ts';
import { Informer } from '../../framework/informer.ts';
import { FakeApiServer } from '../../framework/testing/api-server.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import type { Cache } from '../../framework/types.ts';
import { Allocator } from '../allocator.ts';
import { ENTRY_INDEXES, MACHINE_INDEXES } from '../indexes.ts';

export const NAMESPACE = 'default';

/** One manager's share. */
export interface Side {
  allocator: Allocator;
  entries: Informer<PooledRemoteMachine>;
  machines: Informer<RemoteMachine>;
}

export class Setting {
  readonly server: FakeApiServer;
  readonly #clients: ApiClient[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];

  private constructor(server: FakeApiServer) {
    this.server = server;
  }

  static async start(): Promise<Setting> {
    return new Setting(await FakeApiServer.start([REMOTE_MACHINES, POOLED_REMOTE_MACHINES]));
  }

  /** A manager that has just started: its caches are filled. */
  async side(): Promise<Side> {
    const log = new MemoryLogger();
    const client = new ApiClient({ access: this.server.access(), version: 'test', log, isDeclared });
    this.#clients.push(client);
    const from = { client, log, freeze: true };
    const entries = new Informer<PooledRemoteMachine>({ ...from, resource: POOLED_REMOTE_MACHINES, indexers: ENTRY_INDEXES });
    const machines = new Informer<RemoteMachine>({ ...from, resource: REMOTE_MACHINES, indexers: MACHINE_INDEXES });
    this.#running.push(entries.run(this.#stop.signal), machines.run(this.#stop.signal));
    await Promise.all([entries.synced, machines.synced]);
    return { allocator: new Allocator(client, entries, machines), entries, machines };
  }

  /** A manager that starts after all of it was there. */
  async given(...objects: (PooledRemoteMachine | RemoteMachine)[]): Promise<Side> {
    for (const object of objects) {
      if (object.kind === 'RemoteMachine') this.machine(object);
      else this.entry(object as PooledRemoteMachine);
    }
    return this.side();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
    await this.server.stop();
  }

  /** As a user or another manager writes them; names, labels and status are kept. */
  entry({ metadata, spec, status }: PooledRemoteMachine): PooledRemoteMachine {
    return this.server.create(POOLED_REMOTE_MACHINES, { metadata: chosen(metadata), spec, ...(status && { status }) });
  }
  machine({ metadata, spec, status }: RemoteMachine): RemoteMachine {
    return this.server.create(REMOTE_MACHINES, { metadata: chosen(metadata), spec, ...(status && { status }) });
  }

  storedEntry(name: string): PooledRemoteMachine {
    return this.server.get(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name });
  }
  storedMachine(name: string): RemoteMachine {
    return this.server.get(REMOTE_MACHINES, { namespace: NAMESPACE, name });
  }

  /** Writes so far, as `<plural>[/status] <name>`. */
  writes(): string[] {
    const patches = this.server.requests.filter(({ method }) => method === 'PATCH');
    return patches.map(({ path }) => {
      const [, plural = '', name = '', status] = /namespaces\/[^/]+\/([^/]+)\/([^/]+)(\/status)?$/.exec(path) ?? [];
      return `${plural}${status ?? ''} ${name}`;
    });
  }
}

/** What its writer decides of an object's metadata. */
const chosen = ({ namespace, name, labels, annotations, finalizers }: RemoteMachine['metadata']): object => ({
  ...{ namespace, name },
  ...(labels && { labels }),
  ...(annotations && { annotations }),
  ...(finalizers && { finalizers }),
});

/** Resolves once the cache has the object as it is stored. */
export function caughtUp<T extends KubernetesObject>(cache: Cache<T>, { metadata }: T): Promise<void> {
  return new Promise((resolve) => {
    const { resourceVersion, namespace = '', name } = metadata;
    const check = (): void => {
      if (cache.get(namespace, name)?.metadata.resourceVersion === resourceVersion) resolve();
    };
    cache.onChange(check);
    check();
  });
}
