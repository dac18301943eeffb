/** PooledRemoteMachine: what it says of itself, and the cleaning of hosts that no machine sees to any more. */
import { type Cluster, PAUSED_ANNOTATION } from '../../../apis/cluster/types.ts';
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { keyOf } from '../../../apis/meta.ts';
import { getCondition } from '../../framework/conditions.ts';
import type { ChangeHandler, Enqueue, ReconcileContext, Reconciler, Request, Result } from '../../framework/types.ts';
import { duplicateOf } from '../../pool/choose.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import { identityOfEntry, identityOfMachine } from '../../pool/identity.ts';
import { isUnsettled } from '../../pool/indexes.ts';
import { isEnding } from '../hosts/namespace.ts';
import { taskKey } from '../hosts/tasks.ts';
import { isWatched } from '../remotemachine/owner.ts';
import { EntryCleaning } from './cleaning.ts';
import type { EntryDeps } from './deps.ts';
import { type Due, dueOf } from './due.ts';
import { forceRelease } from './release.ts';
import { clean, tell } from './status.ts';

/** Milliseconds between looks at whether the namespace of an entry that is deleted and held is ending. */
const NAMESPACE_READ = 30_000;

export class PooledRemoteMachineReconciler implements Reconciler {
  readonly #deps: EntryDeps;
  readonly #cleaning: EntryCleaning;
  /** Key of an entry -> the entry, to drop what is kept of it once it is gone. */
  readonly #known = new Map<string, PooledRemoteMachine>();

  constructor(deps: EntryDeps) {
    this.#deps = deps;
    this.#cleaning = new EntryCleaning(deps);
  }

  async reconcile({ namespace, name }: Request, { signal }: ReconcileContext): Promise<Result | undefined> {
    const key = `${namespace}/${name}`;
    const entry = this.#deps.entries.get(namespace, name);
    const known = this.#known.get(key);
    if (known !== undefined && known.metadata.uid !== entry?.metadata.uid) await this.#forget(key, known);
    if (entry === undefined || !isWatched(entry.metadata, this.#deps.watchFilter)) return undefined;
    this.#known.set(key, entry);
    if (entry.metadata.annotations?.[PAUSED_ANNOTATION] !== undefined) return this.#pause(entry);
    if (entry.metadata.annotations?.[REQUEST.release] === 'force') {
      await forceRelease(this.#deps, entry, signal);
      return undefined;
    }
    const due = dueOf(entry, this.#deps.machines, this.#deps.clusters);
    if (due?.kind === 'clean') return this.#cleaning.run(entry, due, signal);
    // What was due when it began is so no more: a Cluster was paused, or the machine is there after all.
    await this.#deps.tasks.abort(taskKey('entry', entry));
    if (due !== undefined) return this.#hold(entry, due);
    await this.#serve(entry);
    return undefined;
  }

  async #pause(entry: PooledRemoteMachine): Promise<undefined> {
    await this.#deps.tasks.abort(taskKey('entry', entry));
    const message = `Paused by annotation ${PAUSED_ANNOTATION}: not handed out and not cleaned`;
    await this.#deps.allocator.mark(entry, { marks: [{ type: CONDITION.Paused, status: 'True', reason: REASON.Paused, message }] });
    return undefined;
  }

  /** Nobody may touch the host. Where all of its namespace goes, it holds nothing up. */
  async #hold(entry: PooledRemoteMachine, { reason, message }: Extract<Due, { kind: 'hold' }>): Promise<Result | undefined> {
    const { deletionTimestamp, namespace = '' } = entry.metadata;
    if (deletionTimestamp !== undefined && (await isEnding(this.#deps.client, namespace))) {
      await this.#deps.allocator.free(entry, [clean('False', reason, message)]);
      return undefined;
    }
    await tell(this.#deps, entry, clean('Unknown', reason, message));
    // Namespaces are not watched.
    return deletionTimestamp === undefined ? undefined : { requeueAfter: NAMESPACE_READ };
  }

  /** A machine sees to the host, or it is free. */
  async #serve(entry: PooledRemoteMachine): Promise<void> {
    const marks = [this.#summary(entry)];
    // What was awaited is there.
    if (getCondition(entry.status?.conditions, CONDITION.Clean)?.status === 'Unknown')
      marks.push(clean('True', REASON.Reserved, 'A machine sees to the host'));
    const marked = await tell(this.#deps, entry, ...marks);
    // While a machine is there that had it, that one's deletion is about to do so.
    const isLeft = this.#deps.machines.byIndex('entry', keyOf(entry)).length === 0;
    if (marked.status?.reserved !== true && isLeft) await this.#deps.allocator.settle(marked);
  }

  /** Served, or a duplicate of another entry; the allocator's summary sees to the rest. */
  #summary(entry: PooledRemoteMachine): EntryMark {
    const { entries, machines } = this.#deps;
    const served: EntryMark = { type: CONDITION.Ready, status: 'True', reason: REASON.Available, message: 'Free' };
    // In use is what counts: the others are the duplicates.
    if (entry.status?.reserved === true) return served;
    const identity = identityOfEntry(entry) ?? '';
    const duplicate = (message: string): EntryMark => ({ ...served, status: 'False', reason: REASON.DuplicateHost, message });
    const other = duplicateOf(entry, entries);
    if (other !== undefined)
      return duplicate(`PooledRemoteMachine ${keyOf(other)} has the same host ${identity} and is served in its place`);
    const machine = machines
      .byIndex('identity', identity)
      .find(({ metadata }) => metadata.annotations?.[ANNOTATION.poolEntry] === undefined);
    if (machine !== undefined) return duplicate(`RemoteMachine ${keyOf(machine)} names the same host ${identity} by its address`);
    return served;
  }

  async #forget(key: string, entry: PooledRemoteMachine): Promise<void> {
    this.#known.delete(key);
    this.#cleaning.forget(entry);
    await this.#deps.tasks.abort(taskKey('entry', entry));
  }

  /** Which entries a change concerns. */
  watch(queue: Enqueue): {
    entries: ChangeHandler<PooledRemoteMachine>;
    machines: ChangeHandler<RemoteMachine>;
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
          // A machine that names it sees to it, and is told.
          if ((entry.status?.reserved === true || isUnsettled(entry)) && this.#deps.machines.byIndex('entry', keyOf(entry)).length === 0)
            add(entry);
      },
    };
  }

  /** Every entry with that host. */
  #besides(queue: Enqueue, identity: string | undefined): void {
    for (const { metadata } of this.#deps.entries.byIndex('identity', identity ?? ''))
      queue.add({ namespace: metadata.namespace ?? '', name: metadata.name });
  }
}
