/**
 * Managers that share one API server, with every write, answer and watch event a step of its own that fast-check's scheduler puts in
 * any order: caches lag behind, answers come late, and a manager may die between a write and its answer.
 */
import type { Scheduler } from 'fast-check';
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { keyOf, type KubernetesObject } from '../../../apis/meta.ts';
import type { ObjectStore } from '../../framework/cache.ts';
import { collectionOf, Storage, type StoredEvent } from '../../framework/testing/storage.ts';
import { ApiError, type Client, isConflict, isNotFound, type Resource } from '../../framework/types.ts';
import { Allocator, names } from '../allocator.ts';
import { entryCache, machineCache } from './objects.ts';
import { replace } from '../../framework/testing/store.ts';

export const MACHINES = collectionOf(REMOTE_MACHINES);
export const ENTRIES = collectionOf(POOLED_REMOTE_MACHINES);

/** The shared world: what is stored, and who was told to use which host. */
export class World {
  readonly storage = new Storage();
  readonly scheduler: Scheduler;
  /** UID of a machine -> entries on whose hosts a run of it was started. */
  readonly started = new Map<string, Set<string>>();
  /** What must never be, as it happened. */
  readonly violations: string[] = [];
  /** One for each write to come: whether it is answered with a conflict that nobody caused. */
  readonly conflicts: boolean[];

  constructor(scheduler: Scheduler, conflicts: boolean[]) {
    this.scheduler = scheduler;
    this.conflicts = [...conflicts];
    this.storage.define(REMOTE_MACHINES, true);
    this.storage.define(POOLED_REMOTE_MACHINES, true);
    this.storage.listen((event) => this.#check(event));
  }

  machines(): RemoteMachine[] {
    return this.storage.list(MACHINES) as RemoteMachine[];
  }
  entries(): PooledRemoteMachine[] {
    return this.storage.list(ENTRIES) as PooledRemoteMachine[];
  }

  /** From one machine to another an entry goes only by way of nobody. */
  #check({ object, old }: StoredEvent): void {
    const holder = (entry: KubernetesObject | undefined) => (entry as PooledRemoteMachine | undefined)?.status?.machineRef?.uid;
    if (object.kind !== 'PooledRemoteMachine') return;
    const [before, after] = [holder(old), holder(object)];
    if (before !== undefined && after !== undefined && before !== after)
      this.violations.push(`${object.metadata.name}: ${before} -> ${after}`);
  }

  /**
   * A run starts, as the controller would start it. A machine that the other manager deletes at this moment is left out: there the
   * claim on the host decides.
   */
  start({ metadata: { name, uid } }: RemoteMachine, entry: PooledRemoteMachine): void {
    const machine = this.machines().find((one) => one.metadata.uid === uid && one.metadata.deletionTimestamp === undefined);
    if (machine === undefined) return;
    this.started.set(uid, (this.started.get(uid) ?? new Set()).add(entry.metadata.name));
    const stored = this.entries().find((one) => one.metadata.uid === entry.metadata.uid);
    if (stored === undefined || !names(stored, machine))
      this.violations.push(`${name} runs on ${entry.metadata.name}, which is not its own`);
  }
}

export class Manager {
  readonly #world: World;
  readonly #entries: ObjectStore<PooledRemoteMachine>;
  readonly #machines: ObjectStore<RemoteMachine>;
  readonly #allocator: Allocator;
  readonly #unlisten: () => void;
  /** Keys that are worked on; true: to be worked on once more. */
  readonly #working = new Map<string, boolean>();
  #writesLeft: number;
  #onDeath: () => void;
  alive = true;

  /** @param writesLeft after so many writes it dies, with the last one done and its answer not read. */
  constructor(world: World, writesLeft: number, onDeath: () => void) {
    this.#world = world;
    this.#writesLeft = writesLeft;
    this.#onDeath = onDeath;
    this.#entries = entryCache();
    this.#machines = machineCache();
    const version = String(world.storage.revision);
    replace(this.#entries, structuredClone(world.entries()), version);
    replace(this.#machines, structuredClone(world.machines()), version);
    this.#allocator = new Allocator(this.#client(), this.#entries, this.#machines);
    this.#unlisten = this.#watch();
    this.#wakeAll();
  }

  /** A watch a collection: events in their order, each delivered at any later time. */
  #watch(): () => void {
    const queues = new Map<string, StoredEvent[]>();
    return this.#world.storage.listen((event) => {
      const queue = queues.get(event.collection) ?? [];
      queues.set(event.collection, queue);
      queue.push(structuredClone(event));
      void this.#world.scheduler.schedule(Promise.resolve(), `watch ${event.object.metadata.name}`).then(() => {
        const next = queue.shift();
        if (next !== undefined && this.alive) this.#deliver(next);
      });
    });
  }

  #deliver({ collection, type, object }: StoredEvent): void {
    const store = (collection === MACHINES ? this.#machines : this.#entries) as ObjectStore<KubernetesObject>;
    if (type === 'DELETED') store.remove(object);
    else store.put(object);
    this.#wakeAll();
  }

  #client(): Client {
    const unused = (): Promise<never> => Promise.reject(new Error('the pool only patches'));
    return {
      now: () => new Date(),
      get: unused,
      create: unused,
      patch: async <T extends KubernetesObject>(
        resource: Resource,
        name: { name: string },
        body: object,
        options?: { subresource?: 'status' },
      ) => {
        const what = `${options?.subresource ?? 'object'} of ${name.name}`;
        await this.#world.scheduler.schedule(Promise.resolve(), `send ${what}`);
        this.#mustLive();
        if (this.#world.conflicts.shift() === true) throw new ApiError(409, 'Conflict', 'injected');
        const update = { merge: true, subresource: options?.subresource };
        const stored = structuredClone(this.#world.storage.update(collectionOf(resource), name, body, update)) as T;
        if (--this.#writesLeft === 0) this.#die();
        await this.#world.scheduler.schedule(Promise.resolve(), `answer ${what}`);
        this.#mustLive();
        const store = (resource === REMOTE_MACHINES ? this.#machines : this.#entries) as unknown as ObjectStore<T>;
        store.absorb(structuredClone(stored));
        return stored;
      },
    };
  }

  #mustLive(): void {
    if (!this.alive) throw new Error('killed');
  }

  #die(): void {
    this.alive = false;
    this.#unlisten();
    this.#onDeath();
  }

  #wakeAll(): void {
    for (const machine of this.#machines.list()) this.#wake(keyOf(machine), () => this.#reconcile(machine.metadata.name));
    for (const entry of this.#entries.list()) this.#wake(`entry ${keyOf(entry)}`, () => this.#sweep(entry.metadata.name));
  }

  /** One at a time for a key, and once more if it was woken meanwhile. */
  #wake(key: string, work: () => Promise<void>): void {
    if (this.#working.has(key)) {
      this.#working.set(key, true);
      return;
    }
    this.#working.set(key, false);
    void work()
      .then(
        () => false,
        (error: unknown) => {
          if (isConflict(error)) return true;
          if (this.alive && !isNotFound(error)) this.#world.violations.push(String(error));
          return false;
        },
      )
      .then(async (conflict) => {
        const again = conflict || this.#working.get(key) === true;
        // A conflict is tried again after a while, as the queue does it: there may be news by then.
        if (conflict) await this.#world.scheduler.schedule(Promise.resolve(), `retry ${key}`);
        this.#working.delete(key);
        if (again && this.alive) this.#wake(key, work);
      });
  }

  async #reconcile(name: string): Promise<void> {
    const machine = this.#machines.get('default', name);
    if (machine === undefined) return;
    if (machine.metadata.deletionTimestamp !== undefined) return this.#delete(machine);
    const reservation = await this.#allocator.reserve(machine, { failureDomain: undefined, startRun: true });
    if (reservation.kind !== 'reserved' || reservation.entry === undefined) return;
    this.#allocator.touch(reservation.machine);
    const { metadata, status } = reservation.machine;
    const runID = metadata.annotations?.[ANNOTATION.runID] ?? '';
    if (status?.bootstrap?.runID === runID) {
      this.#world.start(reservation.machine, reservation.entry);
      return;
    }
    const body = { metadata: { resourceVersion: metadata.resourceVersion }, status: { bootstrap: { runID, phase: 'Claimed' } } };
    await this.#client().patch(REMOTE_MACHINES, { namespace: metadata.namespace ?? '', name }, body, { subresource: 'status' });
    this.#wakeAll();
  }

  async #delete(machine: RemoteMachine): Promise<void> {
    const mark = { type: CONDITION.Clean, status: 'True' as const, reason: REASON.Cleaned, message: 'clean' };
    const entry = this.#allocator.entryOf(machine);
    if (entry !== undefined) await this.#allocator.release(entry, machine, [mark]);
    const { namespace = '', name, resourceVersion } = machine.metadata;
    await this.#client().patch(REMOTE_MACHINES, { namespace, name }, { metadata: { resourceVersion, finalizers: [] } });
  }

  /** An entry that names a machine which is gone or has another one, as its own controller frees it. */
  async #sweep(name: string): Promise<void> {
    const entry = this.#entries.get('default', name);
    const ref = entry?.status?.machineRef;
    if (entry === undefined || ref === undefined || this.#machines.byIndex('entry', keyOf(entry)).length > 0) return;
    const machine = this.#machines.get(ref.namespace, ref.name);
    const bound = machine?.metadata.annotations?.[ANNOTATION.poolEntry];
    if (machine !== undefined && machine.metadata.uid === ref.uid && (bound === undefined || bound === name)) return;
    const live = this.#world.machines().find((one) => one.metadata.uid === ref.uid);
    const boundNow = live?.metadata.annotations?.[ANNOTATION.poolEntry];
    if (live !== undefined && (boundNow === undefined || boundNow === name)) return;
    await this.#allocator.free(entry, []);
  }
}
