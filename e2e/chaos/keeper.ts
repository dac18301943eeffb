/** What GitOps and health checks do for machines and entries that no controller of Cluster API looks after. */
import type { AnyObject } from '../env/client.ts';
import { conditionOf } from '../fixtures/pool.ts';
import { PLACE, type Workload } from './workload.ts';
import { NAMESPACE, type World } from './world.ts';

export class Keeper {
  readonly #world: World;
  readonly #workload: Workload;
  readonly #stop = new AbortController();
  #keeping: Promise<unknown> = Promise.resolve();
  #made = 0;
  /** Machines that were made and that the watch has not shown yet -> their hosts. */
  readonly #unseen = new Map<string, string>();

  constructor(world: World, workload: Workload) {
    this.#world = world;
    this.#workload = workload;
  }

  start(): void {
    this.#keeping = Promise.all([this.#keepEntries(), this.#keepMachines(), this.#replaceFailed()]).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#keeping;
  }

  #observe(kind: 'PooledRemoteMachine' | 'RemoteMachine', labelSelector?: string): AsyncGenerator<AnyObject[]> {
    const { apiVersion } = this.#world.objects.ref(kind, '');
    const reference = { apiVersion, kind, namespace: NAMESPACE, ...(labelSelector !== undefined && { labelSelector }) };
    return this.#world.client.observe(reference, this.#stop.signal);
  }

  /** Makes every entry anew that is gone, as Argo CD does it. */
  async #keepEntries(): Promise<void> {
    const { client } = this.#world;
    for await (const all of this.#observe('PooledRemoteMachine')) {
      const present = new Set(all.map(({ metadata }) => metadata.name));
      for (const place of this.#workload.pooled) if (!present.has(place.name)) await client.apply(this.#workload.entry(place));
    }
  }

  /** A machine for every host that is in no pool: the next one as soon as the last one is being deleted. */
  async #keepMachines(): Promise<void> {
    const { client, places } = this.#world;
    const known = new Set<string>();
    for await (const all of client.observe({ ...this.#workload.machines(), labelSelector: PLACE }, this.#stop.signal)) {
      // A RemoteMachine whose Machine went before it owned it goes with what was applied, as with GitOps.
      const there = new Set(all.map(({ metadata }) => metadata.name));
      for (const name of [...known].filter((one) => !there.has(one))) {
        await client.delete(this.#world.objects.ref('RemoteMachine', name));
        known.delete(name);
      }
      for (const name of there) known.add(name);
      for (const { metadata } of all) this.#unseen.delete(metadata.name);
      await this.#forgetUnseen();
      const live = all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const kept = new Set([...live.map(({ metadata }) => metadata.labels?.[PLACE]), ...this.#unseen.values()]);
      for (const place of places) {
        if (place.pooled || kept.has(place.name)) continue;
        this.#made += 1;
        const name = `${place.name}-${this.#made}`;
        this.#unseen.set(name, place.name);
        await client.applyAll(this.#workload.explicit(place, name));
      }
    }
  }

  /** One that was deleted while no watch could be had is never shown. */
  async #forgetUnseen(): Promise<void> {
    const { client, objects } = this.#world;
    for (const name of this.#unseen.keys()) {
      if ((await client.find(objects.clusterRef('Machine', name))) !== undefined) continue;
      await client.delete(objects.ref('RemoteMachine', name));
      this.#unseen.delete(name);
    }
  }

  /** One that failed for good is deleted, as a MachineHealthCheck does it for machines of a MachineSet. */
  async #replaceFailed(): Promise<void> {
    const { client, objects } = this.#world;
    for await (const all of this.#observe('RemoteMachine', PLACE)) {
      const failed = all.filter((one) => conditionOf(one, 'Ready')?.status === 'False' && one.metadata.deletionTimestamp === undefined);
      for (const { metadata } of failed) await client.delete(objects.clusterRef('Machine', metadata.name));
    }
  }
}
