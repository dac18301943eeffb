/** PooledRemoteMachine: an entry of a pool: what is known of its host, and its cleanup where no machine is left to see to it. */
import { type Cluster, PAUSED_ANNOTATION } from '../../../apis/cluster/types.ts';
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { ADOPTED, ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { keyOf } from '../../../apis/meta.ts';
import { getCondition } from '../../framework/conditions.ts';
import {
  type Cache,
  type ChangeHandler,
  type Client,
  type Enqueue,
  type EventRecorder,
  isNotFound,
  type ReconcileContext,
  type Reconciler,
  type Request,
  type Resource,
  type Result,
} from '../../framework/types.ts';
import type { Allocator } from '../../pool/allocator.ts';
import { duplicateOf } from '../../pool/choose.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import { accepts, trustOf } from '../../pool/host-key-pins.ts';
import { identityOfEntry, identityOfMachine } from '../../pool/identity.ts';
import { type EntryCache, isUnsettled, type MachineCache } from '../../pool/indexes.ts';
import type { Executor } from '../../runner/execution.ts';
import type { AccessReader } from '../hosts/access.ts';
import { Attempts } from '../hosts/attempts.ts';
import { type About, claimedBy, failureOf } from '../hosts/failure.ts';
import { isLostWithNamespace } from '../hosts/namespace.ts';
import { type HostOutcome, type HostTasks, limitsOf, taskKey } from '../hosts/tasks.ts';
import { isWatched } from '../remotemachine/owner.ts';
import { type Due, dueOf } from './due.ts';

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
}

type Cleanup = Extract<Due, { kind: 'clean' }>;

export class PooledRemoteMachineReconciler implements Reconciler {
  readonly #deps: EntryDeps;
  /** From 10 s to 10 min: a host that can't be cleaned mostly waits for a person. */
  readonly #attempts = new Attempts(10_000, 600_000);
  /** From 1 s to 30 s: a Secret that was missing comes without an event. */
  readonly #reads = new Attempts(1_000, 30_000);
  /** Key of an entry -> the entry, to drop what is kept of it once it is gone. */
  readonly #known = new Map<string, PooledRemoteMachine>();

  constructor(deps: EntryDeps) {
    this.#deps = deps;
  }

  async reconcile({ namespace, name }: Request, { signal }: ReconcileContext): Promise<Result | undefined> {
    const key = `${namespace}/${name}`;
    const entry = this.#deps.entries.get(namespace, name);
    const known = this.#known.get(key);
    if (known !== undefined && known.metadata.uid !== entry?.metadata.uid) await this.#forget(key, known);
    if (entry === undefined || !isWatched(entry.metadata, this.#deps.watchFilter)) return undefined;
    this.#known.set(key, entry);
    if (entry.metadata.annotations?.[PAUSED_ANNOTATION] !== undefined) return this.#pause(entry);
    if (entry.metadata.annotations?.[REQUEST.release] === 'force') return this.#forceRelease(entry);
    const due = dueOf(entry, this.#deps.machines, this.#deps.clusters);
    if (due?.kind === 'clean') return this.#clean(entry, due, signal);
    // What was due when it began is so no more: a Cluster was paused, or the machine is there after all.
    await this.#deps.tasks.abort(taskKey('entry', entry));
    if (due !== undefined) {
      await this.#mark(entry, { ...due, type: CONDITION.Clean, status: 'Unknown' });
      return undefined;
    }
    const marked = await this.#mark(entry, this.#summary(entry));
    // While a machine is there that had it, that one's deletion is about to do so.
    const isLeft = this.#machineOf(entry) === undefined;
    if (marked.status?.reserved !== true && isLeft) await this.#deps.allocator.settle(marked);
    return undefined;
  }

  async #pause(entry: PooledRemoteMachine): Promise<undefined> {
    await this.#deps.tasks.abort(taskKey('entry', entry));
    const message = `Paused by annotation ${PAUSED_ANNOTATION}: not handed out and not cleaned`;
    await this.#deps.allocator.mark(entry, { marks: [{ type: CONDITION.Paused, status: 'True', reason: REASON.Paused, message }] });
    return undefined;
  }

  /** What is wrong with an entry is an Event, too, when it begins. */
  async #mark(entry: PooledRemoteMachine, mark: EntryMark): Promise<PooledRemoteMachine> {
    const before = getCondition(entry.status?.conditions, mark.type);
    const marked = await this.#deps.allocator.mark(entry, { marks: [notPaused, mark] });
    if (mark.status !== 'True' && (before?.status !== mark.status || before.reason !== mark.reason))
      this.#deps.events.event(marked, 'Warning', mark.reason, mark.type, mark.message);
    return marked;
  }

  /** Served, or a duplicate of another entry; the allocator's summary sees to the rest. */
  #summary(entry: PooledRemoteMachine): EntryMark {
    const { entries, machines } = this.#deps;
    const identity = identityOfEntry(entry) ?? '';
    const duplicate = (message: string): EntryMark => ({ type: CONDITION.Ready, status: 'False', reason: REASON.DuplicateHost, message });
    const served = duplicateOf(entry, entries);
    if (served !== undefined)
      return duplicate(`PooledRemoteMachine ${keyOf(served)} has the same host ${identity} and is served in its place`);
    const machine = machines
      .byIndex('identity', identity)
      .find(({ metadata }) => metadata.annotations?.[ANNOTATION.poolEntry] === undefined);
    if (machine !== undefined) return duplicate(`RemoteMachine ${keyOf(machine)} names the same host ${identity} by its address`);
    return { type: CONDITION.Ready, status: 'True', reason: REASON.Available, message: 'Free' };
  }

  #machineOf(entry: PooledRemoteMachine): MachineCacheObject | undefined {
    return this.#deps.machines.byIndex('entry', keyOf(entry))[0];
  }

  async #forget(key: string, entry: PooledRemoteMachine): Promise<void> {
    this.#known.delete(key);
    this.#attempts.succeeded(entry.metadata.uid);
    this.#reads.succeeded(entry.metadata.uid);
    await this.#deps.tasks.abort(taskKey('entry', entry));
  }

  async #clean(entry: PooledRemoteMachine, cleanup: Cleanup, signal: AbortSignal): Promise<Result | undefined> {
    const key = taskKey('entry', entry);
    const id = `clean/${cleanup.id}`;
    const task = this.#deps.tasks.peek(key);
    if (task?.id === id) {
      if (task.state.phase === 'done' || task.state.phase === 'failed') this.#deps.tasks.forget(key);
      if (task.state.phase === 'done') return this.#cleaned(entry, cleanup, task.state.result);
      if (task.state.phase === 'failed') return this.#later(entry, failureOf(task.state.error, aboutOf(entry)));
      return undefined;
    }
    const { uid, namespace = '' } = entry.metadata;
    const pending = this.#reads.pending(uid, versionOf(entry)) ?? this.#attempts.pending(uid, versionOf(entry));
    if (pending !== undefined) return { requeueAfter: pending.wait };
    try {
      await this.#start(entry, key, id, cleanup, signal);
      this.#reads.succeeded(uid);
      return undefined;
    } catch (error) {
      const failure = failureOf(error, aboutOf(entry));
      if (!(await isLostWithNamespace(this.#deps.client, namespace, failure))) return this.#later(entry, failure, this.#reads);
      await this.#deps.allocator.free(entry, [notClean(failure)]);
      return undefined;
    }
  }

  async #start(entry: PooledRemoteMachine, key: string, id: string, cleanup: Cleanup, signal: AbortSignal): Promise<void> {
    if (entry.spec === undefined || (await this.#serves(entry, signal)) || (await this.#isHeld(entry, signal))) return;
    const spec = entry.spec.machine;
    const access = await this.#deps.access.read(entry.metadata.namespace ?? '', spec, trustOf(undefined, entry), signal);
    this.#deps.tasks.ensure(key, id, limitsOf(spec), async (work): Promise<HostOutcome> => ({
      work: 'clean',
      outcome: await this.#deps.executor.reclaim(access, cleanup.isOurs, work),
    }));
  }

  /** Whether the machine that the status names is there after all: a cache may be behind, and a cleanup would end what runs. */
  async #serves({ metadata, status }: PooledRemoteMachine, signal: AbortSignal): Promise<boolean> {
    const ref = status?.machineRef;
    if (ref === undefined) return false;
    try {
      const machine = await this.#deps.client.get<RemoteMachine>(REMOTE_MACHINES, ref, signal);
      const bound = machine.metadata.annotations?.[ANNOTATION.poolEntry];
      return (ref.uid ?? machine.metadata.uid) === machine.metadata.uid && (bound === undefined || bound === metadata.name);
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Whether the Cluster of an absent machine is paused or gone after all, which the cache does not tell yet. */
  async #isHeld({ metadata, status }: PooledRemoteMachine, signal: AbortSignal): Promise<boolean> {
    const { machineRef, reserved } = status ?? {};
    if (reserved !== true || machineRef?.clusterName === undefined || metadata.annotations?.[ANNOTATION.quarantined] !== undefined)
      return false;
    try {
      const { clusterResource, client } = this.#deps;
      const cluster = await client.get<Cluster>(clusterResource, { namespace: machineRef.namespace, name: machineRef.clusterName }, signal);
      return cluster.spec?.paused === true;
    } catch (error) {
      if (isNotFound(error)) return true;
      throw error;
    }
  }

  async #cleaned(entry: PooledRemoteMachine, { isAdopted }: Cleanup, result: HostOutcome): Promise<Result | undefined> {
    if (result.work !== 'clean') throw new Error(`PooledRemoteMachine ${keyOf(entry)} was bootstrapped by its cleanup`);
    const { outcome } = result;
    if (outcome.outcome === 'Clean' && isAdopted && !outcome.ran) {
      const message =
        'Another operator bootstrapped the host, and there is no claim on it that says how to clean it: clean it by hand, then annotate release=force';
      return this.#later(entry, { reason: REASON.NoCleanupKnown, message });
    }
    if (outcome.outcome === 'Clean') {
      this.#attempts.succeeded(entry.metadata.uid);
      await this.#free(entry, REASON.Cleaned, 'The host is clean, confirmed by looking at it', outcome.hostKey.publicKey);
      return undefined;
    }
    const said = ((): { reason: Reason; message: string } => {
      if (outcome.outcome === 'NoCleanupKnown')
        return { reason: REASON.NoCleanupKnown, message: 'Something ran on the host and nothing says how to clean it' };
      if (outcome.outcome === 'Failed') return { reason: REASON.CleanupFailed, message: `${outcome.command}: ${outcome.message}` };
      return { reason: REASON.HostInUse, message: claimedBy(outcome.holder) };
    })();
    return this.#later(entry, said);
  }

  async #later(entry: PooledRemoteMachine, why: { reason: Reason; message: string }, attempts = this.#attempts): Promise<Result> {
    const { wait } = attempts.failed(entry.metadata.uid, versionOf(entry), { ...why, terminal: false, concerns: 'host' });
    await this.#deps.allocator.mark(entry, { marks: [notPaused, notClean(why)] });
    return { requeueAfter: wait };
  }

  async #free(entry: PooledRemoteMachine, reason: Reason, message: string, hostKey?: string): Promise<void> {
    await this.#deps.allocator.free(entry, [{ type: CONDITION.Clean, status: 'True', reason, message }], hostKey);
    if (hostKey !== undefined && accepts(entry, hostKey))
      this.#deps.events.event(entry, 'Normal', REASON.HostKeyAccepted, CONDITION.Clean, `The host key ${hostKey} was accepted`);
    this.#deps.events.event(entry, 'Normal', reason === REASON.ReleaseForced ? reason : REASON.Released, CONDITION.Clean, message);
  }

  /** A person knows better. The annotation goes with it, so that it holds once; the claim on the host is left to the next machine. */
  async #forceRelease(entry: PooledRemoteMachine): Promise<undefined> {
    const machine = this.#machineOf(entry);
    const name = { namespace: entry.metadata.namespace ?? '', name: entry.metadata.name };
    const run = entry.metadata.annotations?.[ANNOTATION.quarantined]?.replace(ADOPTED, '') ?? entry.status?.machineRef?.uid;
    const abandoned = machine === undefined && run !== undefined && { [ANNOTATION.abandonedRun]: run };
    const metadata = { resourceVersion: entry.metadata.resourceVersion, annotations: { [REQUEST.release]: null, ...abandoned } };
    const current = await this.#deps.client.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, name, { metadata });
    if (machine !== undefined) {
      const note = `Not released: RemoteMachine ${keyOf(machine)} has the host. Delete that one`;
      this.#deps.events.event(entry, 'Warning', REASON.Reserved, CONDITION.Clean, note);
      return undefined;
    }
    await this.#deps.tasks.abort(taskKey('entry', entry));
    await this.#free(current, REASON.ReleaseForced, 'Given back by a person without a confirmed cleanup');
    return undefined;
  }

  /** Which entries a change concerns. */
  watch(queue: Enqueue): {
    entries: ChangeHandler<PooledRemoteMachine>;
    machines: ChangeHandler<MachineCacheObject>;
    clusters: ChangeHandler<Cluster>;
  } {
    const add = ({ metadata }: { metadata: { namespace?: string; name: string } }): void =>
      queue.add({ namespace: metadata.namespace ?? '', name: metadata.name });
    return {
      entries: ({ type, object, old }) => {
        add(object);
        const before = old && identityOfEntry(old);
        if (before !== identityOfEntry(object)) this.#besides(queue, before);
        if (
          type === 'updated' &&
          old?.status?.reserved === object.status?.reserved &&
          old?.metadata.generation === object.metadata.generation
        )
          return;
        // What it stands in the way of, or what stands in its way.
        this.#besides(queue, identityOfEntry(object));
      },
      machines: ({ type, object, old }) => {
        const { namespace = '', annotations } = object.metadata;
        const bound = annotations?.[ANNOTATION.poolEntry];
        const before = old?.metadata.annotations?.[ANNOTATION.poolEntry];
        for (const name of [type === 'deleted' ? bound : undefined, before === bound ? undefined : before])
          if (name !== undefined) queue.add({ namespace, name });
        const identities = new Set([old && identityOfMachine(old), identityOfMachine(object)]);
        if (bound === undefined || identities.size > 1) for (const identity of identities) this.#besides(queue, identity);
      },
      clusters: ({ type, object, old }) => {
        if (type === 'updated' && old?.spec?.paused === object.spec?.paused) return;
        for (const entry of this.#deps.entries.list(object.metadata.namespace))
          if (entry.status?.reserved === true || isUnsettled(entry)) add(entry);
      },
    };
  }

  /** Every entry with that host. */
  #besides(queue: Enqueue, identity: string | undefined): void {
    for (const { metadata } of this.#deps.entries.byIndex('identity', identity ?? ''))
      queue.add({ namespace: metadata.namespace ?? '', name: metadata.name });
  }
}

type MachineCacheObject = ReturnType<MachineCache['list']>[number];

const notClean = ({ reason, message }: { reason: Reason; message: string }): EntryMark => ({
  type: CONDITION.Clean,
  status: 'False',
  reason,
  message,
});
const notPaused: EntryMark = { type: CONDITION.Paused, status: 'False', reason: REASON.NotPaused, message: 'Not paused' };

const aboutOf = ({ metadata, spec }: PooledRemoteMachine): About => ({ namespace: metadata.namespace ?? '', spec: spec?.machine });

const versionOf = (entry: PooledRemoteMachine): string =>
  `${entry.metadata.generation ?? 0}/${entry.metadata.annotations?.[REQUEST.acceptHostKey] ?? ''}`;
