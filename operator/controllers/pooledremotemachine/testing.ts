/** The controller of entries on a world with fake hosts, and hands to drive it. */
import type { Cluster } from '../../../apis/cluster/types.ts';
import { NAMESPACES } from '../../../apis/core.ts';
import { ANNOTATION, ENTRY_FINALIZER } from '../../../apis/infrastructure/group.ts';
import type { Condition } from '../../../apis/infrastructure/status.ts';
import type { Resource, Result } from '../../framework/types.ts';
import { hostKeyFromBuffer } from '../../ssh/host-keys.ts';
import type { HostKey } from '../../ssh/types.ts';
import { taskKey } from '../hosts/tasks.ts';
import type { StoppedClock } from '../testing/clock.ts';
import { PUBLIC_KEYS, type ReclaimCall } from '../testing/executor.ts';
import { CLUSTERS, entry, NAMESPACE, RUN } from '../testing/objects.ts';
import type { World } from '../testing/world.ts';
import { PooledRemoteMachineReconciler } from './controller.ts';

const keyOf = (line: string): HostKey => hostKeyFromBuffer(Buffer.from(line.split(' ')[1] ?? '', 'base64'));
export const HOST_KEY = keyOf(PUBLIC_KEYS[0]);
export const OTHER_KEY = keyOf(PUBLIC_KEYS[1]);

/** What a host answers to a cleanup. */
export const CLEAN = { outcome: 'Clean', ran: true, hostKey: HOST_KEY } as const;
export const FAILED = {
  outcome: 'Failed',
  command: 'c[0]',
  message: 'failed with exit code 1',
  outputTail: '',
  hostKey: HOST_KEY,
} as const;

/** Status of an entry that machine `m` has, or had. */
export const held = (uid?: string, clusterName?: string) => ({
  reserved: true,
  machineRef: { name: 'm', namespace: NAMESPACE, ...(uid !== undefined && { uid }), ...(clusterName !== undefined && { clusterName }) },
});

export const condition = (type: string, status: Condition['status'], reason: string): Condition => ({
  ...{ type, status, reason, message: 'as it was' },
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

/** An entry that a machine of Cluster `c` held when it went. */
export const left = (metadata: object = {}): [Resource, object] =>
  entry('a', {}, { finalizers: [ENTRY_FINALIZER], ...metadata }, held('gone', 'c'));

/** An entry that a deletion left in quarantine. */
export const quarantined = (annotations: object = {}, runID = RUN): [Resource, object] =>
  entry(
    'a',
    {},
    { finalizers: [ENTRY_FINALIZER], annotations: { [ANNOTATION.quarantined]: runID, ...annotations } },
    { ...held('gone', 'c'), conditions: [condition('Clean', 'False', 'CleanupFailed')] },
  );

/** An entry that its last machine passed over, as somebody else's claim was on the host. */
export const dirty = (): [Resource, object] =>
  entry('a', {}, {}, { reserved: false, conditions: [condition('Clean', 'False', 'HostInUse')] });

/** An entry that a machine had before a move or a restore took its status away. */
export const unsettled = (): [Resource, object] => entry('a', {}, { finalizers: [ENTRY_FINALIZER] });

/** A namespace that lives until it is deleted, and then ends. */
export const LIVING: [Resource, object] = [NAMESPACES, { metadata: { name: NAMESPACE, finalizers: ['kubernetes'] } }];

export const clusterIn = (namespace: string, name: string, spec: Cluster['spec']): [Resource, object] => [
  CLUSTERS,
  { metadata: { namespace, name }, spec },
];

export class EntryDriver {
  readonly #world: World;
  readonly #reconciler: PooledRemoteMachineReconciler;
  readonly #signal = new AbortController().signal;
  readonly #woken = new Set<string>();

  constructor(world: World, watchFilter?: string) {
    this.#world = world;
    this.#reconciler = new PooledRemoteMachineReconciler({
      ...world.deps,
      clusterResource: CLUSTERS,
      watchFilter,
      cleanupTimeout: 600_000,
    });
    const on = this.#reconciler.watch({
      add: ({ namespace, name }) => void this.#woken.add(`${namespace}/${name}`),
      addAfter: () => undefined,
    });
    world.entries.onChange(on.entries);
    world.machines.onChange(on.machines);
    world.clusters.onChange(on.clusters);
  }

  /** With caches that may be behind. */
  run(name = 'a'): Promise<Result | undefined> {
    return this.#reconciler.reconcile({ namespace: NAMESPACE, name }, { log: this.#world.log, signal: this.#signal });
  }

  async reconcile(name = 'a'): Promise<Result | undefined> {
    const result = await this.run(name);
    await this.#world.synced();
    return result;
  }

  /** Reconciles what changes have woken until nothing is left to do. */
  async settle(): Promise<void> {
    for (const key of this.#woken) {
      this.#woken.delete(key);
      await this.reconcile(key.split('/')[1]);
    }
  }

  /** Keys that a change woke. */
  async wokenBy(change: () => Promise<unknown>): Promise<string[]> {
    await this.#world.synced();
    this.#woken.clear();
    await change();
    return [...this.#woken].sort();
  }

  /** The entry's conditions as they are stored. */
  told(name = 'a'): Record<string, string> {
    const { conditions = [] } = this.#world.storedEntry(name).status ?? {};
    return Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
  }
  message(type: string, name = 'a'): string | undefined {
    return this.#world.storedEntry(name).status?.conditions?.find((one) => one.type === type)?.message;
  }

  /** Starts the cleanup of the entry: the host is asked. */
  async started(name = 'a'): Promise<ReclaimCall> {
    const { reclaims } = this.#world.executor;
    const before = reclaims.length;
    expect(await this.reconcile(name)).toBeUndefined();
    await this.#world.until(() => reclaims.length > before);
    return reclaims[before] as ReclaimCall;
  }

  /** How the entry's cleanup stands. */
  phase(name = 'a'): string | undefined {
    return this.#world.tasks.peek(taskKey('entry', this.#world.storedEntry(name)))?.state.phase;
  }

  /** What the entry's cleanup came to is there to be read. */
  ended(name = 'a'): Promise<void> {
    return this.#world.until(() => ['done', 'failed'].includes(this.phase(name) ?? ''));
  }

  /** A cleanup from its start to what its answer leads to. */
  async cleaned(answer: (call: ReclaimCall) => void, name = 'a'): Promise<Result | undefined> {
    answer(await this.started(name));
    await this.ended(name);
    return this.reconcile(name);
  }

  /** The entry is tried again after about so many seconds, and not before. */
  async waits(clock: StoppedClock, result: Result | undefined, seconds: number): Promise<void> {
    const wait = result?.requeueAfter ?? NaN;
    expect(wait).toBeGreaterThanOrEqual(seconds * 1000);
    expect(wait).toBeLessThanOrEqual(seconds * 1100);
    const { calls } = this.#world.executor;
    clock.pass(wait - 1);
    expect((await this.reconcile())?.requeueAfter).toBeCloseTo(1);
    expect(this.#world.executor.calls).toBe(calls);
    clock.pass(1);
  }

  /** The entry may be handed out, and nothing of its last machine is on it. */
  expectFree(): void {
    const { metadata, status } = this.#world.storedEntry('a');
    expect(status).toMatchObject({ reserved: false });
    expect(status).not.toHaveProperty('machineRef');
    expect(metadata.annotations ?? {}).not.toHaveProperty([ANNOTATION.quarantined]);
    expect(metadata.finalizers ?? []).toEqual([]);
  }

  /** What is written meanwhile. */
  async writes(during: () => Promise<unknown>): Promise<string[]> {
    const before = this.#world.server.requests.length;
    await during();
    return this.#world.server.requests.slice(before).flatMap(({ method, path }) => (method === 'GET' ? [] : [`${method} ${path}`]));
  }
}
