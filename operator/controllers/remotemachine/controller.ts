/** RemoteMachine: an existing host becomes a Cluster API machine. The order of the phases is the order of `reconcile`. */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { CLUSTER_GROUP, type Cluster, infrastructureReady, type Machine } from '../../../apis/cluster/types.ts';
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { keyOf } from '../../../apis/meta.ts';
import type { ChangeHandler, Enqueue, ReconcileContext, Reconciler, Request, Result } from '../../framework/types.ts';
import { identityOfEntry, identityOfMachine } from '../../pool/identity.ts';
import { obstacle } from '../../pool/indexes.ts';
import { hostTopic, poolOf, poolTopic, WaitingList } from '../../pool/waiting.ts';
import { Attempts } from '../hosts/attempts.ts';
import { taskKey } from '../hosts/tasks.ts';
import { Bootstrap } from './bootstrap.ts';
import { HostCleaning } from './cleaning.ts';
import { Deletion } from './delete.ts';
import { Departure } from './departure.ts';
import type { MachineDeps } from './deps.ts';
import { setNodeProviderID } from './node.ts';
import { clusterNameOf, isWatched, ownerMachineName, pausedBy } from './owner.ts';
import { reportProvisioned, settle } from './provisioned.ts';
import { isRefusal, telling } from './refusal.ts';
import { reserve } from './reserve.ts';
import { Retry } from './retry.ts';
import { RunHosts } from './run-hosts.ts';
import { MachineScope } from './scope.ts';
import { StatusWriter } from './status.ts';

const requestOf = ({ metadata }: { metadata: { namespace?: string; name: string } }): Request => ({
  namespace: metadata.namespace ?? '',
  name: metadata.name,
});

export class RemoteMachineReconciler implements Reconciler {
  readonly #deps: MachineDeps;
  readonly #waiting = new WaitingList();
  /** From 1 s, as a host that reboots is soon back, to 30 s. */
  readonly #attempts = new Attempts(1_000, 30_000);
  readonly #bootstrap: Bootstrap;
  readonly #departure: Departure;
  readonly #deletion: Deletion;
  readonly #retry: Retry;
  readonly #status: StatusWriter;
  /** Key of a machine -> its UID, to drop what is kept of it once it is gone. */
  readonly #known = new Map<string, string>();
  #queue: Enqueue | undefined;

  constructor(deps: MachineDeps) {
    this.#deps = deps;
    const hosts = new RunHosts();
    this.#bootstrap = new Bootstrap(deps, this.#attempts, hosts);
    const cleaning = new HostCleaning(deps, this.#attempts, hosts);
    this.#departure = new Departure(deps, cleaning, hosts);
    this.#deletion = new Deletion(deps, cleaning);
    this.#retry = new Retry(deps, cleaning);
    this.#status = new StatusWriter(deps.client, deps.events);
  }

  async reconcile(request: Request, { log, signal }: ReconcileContext): Promise<Result | undefined> {
    const key = `${request.namespace}/${request.name}`;
    const machine = this.#deps.machines.get(request.namespace, request.name);
    const known = this.#known.get(key);
    const isOurs = machine !== undefined && isWatched(machine.metadata, this.#deps.settings.watchFilter);
    // Gone, made anew, or left to another manager, which follows what runs.
    if (known !== undefined && (!isOurs || known !== machine.metadata.uid)) await this.#forget(request, key, known);
    if (!isOurs) return undefined;
    this.#known.set(key, machine.metadata.uid);
    const scope = new MachineScope(machine, { log, signal, now: this.#deps.client.now() });
    const result = await this.#phases(scope).catch(async (error: unknown) => {
      // What it says is for people; the error is what counts.
      if (isRefusal(error) && !signal.aborted) await this.#status.write(scope, undefined).catch(() => undefined);
      throw error;
    });
    if (result === 'gone') return undefined;
    const written = await this.#status.write(scope, result);
    this.#bootstrap.commit(scope);
    return written;
  }

  async #phases(scope: MachineScope): Promise<Result | 'gone' | undefined> {
    this.#findOwner(scope);
    const paused = pausedBy(scope.machine, scope.cluster);
    if (paused !== undefined || scope.deleting) this.#stepAside(scope.name);
    if (paused !== undefined) return this.#pause(scope, paused);
    scope.mark(CONDITION.Paused, 'False', REASON.NotPaused, 'Not paused');
    if (scope.deleting) return telling(scope, CONDITION.CleanedUp, () => this.#deletion.run(scope));
    const early = this.#precondition(scope);
    if (early !== undefined) {
      this.#stepAside(scope.name);
      return early;
    }
    const waits = await telling(scope, CONDITION.HostReserved, () => this.#reserve(scope));
    if (waits !== undefined) return waits;
    const runs = await telling(scope, CONDITION.BootstrapExecSucceeded, () => this.#run(scope));
    if (runs !== undefined) return runs;
    reportProvisioned(scope);
    // Nobody is to wait for the rest: the report that the machine is ready is a change, which brings us here again.
    if (scope.machine.status?.ready !== true) return undefined;
    await telling(scope, CONDITION.NodeProviderIDSet, () => settle(this.#deps, scope));
    return setNodeProviderID(this.#deps, scope);
  }

  async #reserve(scope: MachineScope): Promise<Result | undefined> {
    return (await this.#departure.run(scope)) ?? reserve(this.#deps, this.#waiting, scope);
  }

  async #run(scope: MachineScope): Promise<Result | undefined> {
    const retries = await this.#retry.run(scope);
    if (retries !== undefined || scope.machine.spec?.providerID !== undefined) return retries;
    if (scope.owner?.spec?.bootstrap.dataSecretName === undefined) return this.#awaitData(scope);
    return this.#bootstrap.run(scope);
  }

  #findOwner(scope: MachineScope): void {
    const { namespace } = scope.name;
    const ownerName = ownerMachineName(scope.machine);
    scope.owner = ownerName === undefined ? undefined : this.#deps.owners.get(namespace, ownerName);
    const clusterName = clusterNameOf(scope.machine, scope.owner);
    scope.cluster = clusterName === undefined ? undefined : this.#deps.clusters.get(namespace, clusterName);
  }

  /** A paused machine is left alone: what runs on its host goes on there, and is followed again afterwards. */
  async #pause(scope: MachineScope, why: string): Promise<Result> {
    await this.#deps.tasks.abort(scope.task);
    scope.mark(CONDITION.Paused, 'True', REASON.Paused, `Paused: ${why}`);
    return {};
  }

  /** What provisioning waits for before a host is taken. A provisioned machine waits for nothing any more. */
  #precondition(scope: MachineScope): Result | undefined {
    if (scope.machine.spec?.providerID !== undefined) return undefined;
    const wait = (reason: Parameters<MachineScope['wait']>[1], message: string): Result => {
      scope.wait(CONDITION.HostReserved, reason, message);
      return {};
    };
    const { owner, cluster } = scope;
    if (owner === undefined) return wait(REASON.WaitingForOwnerMachine, 'Waiting for a Machine to own this RemoteMachine');
    const clusterName = clusterNameOf(scope.machine, owner) ?? '';
    if (cluster === undefined) return wait(REASON.WaitingForCluster, `Waiting for Cluster ${clusterName}`);
    if (infrastructureReady(cluster)) return undefined;
    const ref = cluster.spec?.infrastructureRef;
    const infrastructure = ref === undefined ? 'its infrastructure' : `${ref.kind} ${ref.name}`;
    return wait(REASON.WaitingForClusterInfrastructure, `Waiting for Cluster ${clusterName}: ${infrastructure} is not ready`);
  }

  #awaitData(scope: MachineScope): Result {
    const ref = scope.owner?.spec?.bootstrap.configRef;
    const by = ref === undefined ? 'spec.bootstrap.dataSecretName' : `bootstrap data from ${ref.kind} ${ref.name}`;
    const message = `Waiting for ${by} of Machine ${scope.owner?.metadata.name ?? '?'}`;
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.WaitingForBootstrapData, message);
    return {};
  }

  async #forget(request: Request, key: string, uid: string): Promise<void> {
    this.#known.delete(key);
    this.#stepAside(request);
    this.#attempts.succeeded(uid);
    this.#bootstrap.forget(uid);
    this.#retry.forget(uid);
    this.#deletion.forget(uid);
    this.#status.forget(uid);
    this.#deps.allocator.forget(uid);
    this.#deps.nodes.leave(key);
    const task = taskKey('machine', { metadata: { ...request, uid } });
    await this.#deps.tasks.abort(task);
  }

  /** It takes no host any more, so it stands in line for none either; one that came free meanwhile was offered to it alone, and is offered on. */
  #stepAside(request: Request): void {
    const topic = this.#waiting.leave(request) ?? '';
    const pool = poolOf(topic);
    if (pool === undefined || this.#queue === undefined) return;
    if (!this.#waiting.has(topic)) return;
    const free = this.#deps.entries.byIndex('free', pool);
    for (const entry of free) this.#offer(this.#queue, entry, free.length);
  }

  /** Which machine a change of another object concerns. */
  watch(queue: Enqueue): {
    machines: ChangeHandler<RemoteMachine>;
    owners: ChangeHandler<Machine>;
    clusters: ChangeHandler<Cluster>;
    entries: ChangeHandler<PooledRemoteMachine>;
  } {
    this.#queue = queue;
    return {
      machines: ({ type, object, old }) => {
        queue.add(requestOf(object));
        const identity = identityOfMachine(object);
        if (type === 'deleted') this.#hostLeft(queue, identity);
        const before = old && identityOfMachine(old);
        if (before !== identity) this.#hostLeft(queue, before);
        const entry = (old ?? object).metadata.annotations?.[ANNOTATION.poolEntry];
        const isLeft = type === 'deleted' || entry !== object.metadata.annotations?.[ANNOTATION.poolEntry];
        const left = entry === undefined || !isLeft ? undefined : this.#deps.entries.get(object.metadata.namespace ?? '', entry);
        if (left !== undefined && obstacle(left) === undefined) this.#offer(queue, left);
      },
      owners: ({ object }) => {
        const ref = object.spec?.infrastructureRef;
        const group = ref?.apiGroup ?? ref?.apiVersion?.split('/')[0];
        if (ref?.kind !== 'RemoteMachine' || group !== `infrastructure.${CLUSTER_GROUP}`) return;
        queue.add({ namespace: object.metadata.namespace ?? '', name: ref.name });
      },
      clusters: ({ type, object, old }) => {
        const same =
          old !== undefined && old.spec?.paused === object.spec?.paused && infrastructureReady(old) === infrastructureReady(object);
        if (type === 'updated' && same) return;
        for (const machine of this.#deps.machines.byIndex('cluster', keyOf(object))) queue.add(requestOf(machine));
      },
      entries: ({ type, object, old }) => this.#entryChanged(queue, type, object, old),
    };
  }

  #entryChanged(queue: Enqueue, type: string, entry: PooledRemoteMachine, old: PooledRemoteMachine | undefined): void {
    const same = type === 'updated' && old?.metadata.generation === entry.metadata.generation;
    const sameMeta = same && JSON.stringify(old?.metadata.annotations) === JSON.stringify(entry.metadata.annotations);
    // Who has it writes down again what a restore or a person took from its status.
    const isLost = old?.status?.reserved === true && entry.status?.reserved !== true;
    if (!sameMeta || isLost) for (const machine of this.#deps.machines.byIndex('entry', keyOf(entry))) queue.add(requestOf(machine));
    const ref = entry.status?.machineRef;
    if (ref !== undefined && ref.uid !== old?.status?.machineRef?.uid) queue.add({ namespace: ref.namespace, name: ref.name });
    const identity = identityOfEntry(entry);
    const before = old && identityOfEntry(old);
    if (before !== identity) this.#hostLeft(queue, before);
    if (type === 'deleted' || obstacle(entry) === undefined) {
      for (const request of this.#waiting.all(hostTopic(identity ?? ''))) queue.add(request);
    }
    if (type !== 'deleted' && obstacle(entry) === undefined) this.#offer(queue, entry);
  }

  /** An object with this host is gone: those that waited for the host, and for an entry that is it, look again. */
  #hostLeft(queue: Enqueue, identity: string | undefined): void {
    if (identity === undefined) return;
    for (const request of this.#waiting.all(hostTopic(identity))) queue.add(request);
    for (const entry of this.#deps.entries.byIndex('identity', identity)) if (obstacle(entry) === undefined) this.#offer(queue, entry);
  }

  /** @param free entries of the pool that are free, where somebody has counted them: that goes through all of them. */
  #offer(queue: Enqueue, entry: PooledRemoteMachine, free?: number): void {
    const { namespace = '' } = entry.metadata;
    const pool = entry.spec?.pool ?? '';
    const topic = poolTopic(namespace, pool);
    if (!this.#waiting.has(topic)) return;
    const count = free ?? this.#deps.entries.byIndex('free', `${namespace}/${pool}`).length;
    const host = { failureDomain: entry.spec?.failureDomain, identity: identityOfEntry(entry) };
    for (const request of this.#waiting.next(topic, count, host)) queue.add(request);
  }
}
