/** RemoteCluster: fulfils the contract; there is nothing to configure on the infrastructure. */
import { CLUSTER_GROUP, CLUSTER_NAME_LABEL, type Cluster, MANAGED_BY_ANNOTATION, PAUSED_ANNOTATION } from '../../../apis/cluster/types.ts';
import { CONDITION, type ConditionType, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { RemoteCluster } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_CLUSTERS } from '../../../apis/infrastructure/resources.ts';
import { keyOf } from '../../../apis/meta.ts';
import { setCondition } from '../../framework/conditions.ts';
import { mergePatch } from '../../framework/patch.ts';
import type { Cache, ChangeHandler, Client, Enqueue, EventRecorder, Reconciler, Request } from '../../framework/types.ts';
import { isWatched } from '../remotemachine/owner.ts';

export interface ClusterDeps {
  client: Client;
  remoteClusters: Cache<RemoteCluster>;
  clusters: Cache<Cluster>;
  events: EventRecorder;
  watchFilter: string | undefined;
}

/** Index of the cache of Clusters: `namespace/name` of the RemoteCluster that a Cluster refers to. */
export const CLUSTER_INDEXES = {
  remoteCluster: ({ metadata, spec }: Cluster): string[] =>
    spec?.infrastructureRef?.kind === 'RemoteCluster' ? [`${metadata.namespace ?? ''}/${spec.infrastructureRef.name}`] : [],
};

export class RemoteClusterReconciler implements Reconciler {
  readonly #deps: ClusterDeps;

  constructor(deps: ClusterDeps) {
    this.#deps = deps;
  }

  async reconcile({ namespace, name }: Request): Promise<void> {
    const cluster = this.#deps.remoteClusters.get(namespace, name);
    if (cluster === undefined || !isWatched(cluster.metadata, this.#deps.watchFilter)) return;
    // Externally managed, or on its way out: nothing of ours is on it.
    if (cluster.metadata.annotations?.[MANAGED_BY_ANNOTATION] !== undefined || cluster.metadata.deletionTimestamp !== undefined) return;
    const status = statusOf(cluster, this.#ownerOf(cluster), this.#deps.client.now());
    const change = mergePatch(cluster.status ?? {}, status);
    if (change === undefined) return;
    const metadata = { resourceVersion: cluster.metadata.resourceVersion };
    await this.#deps.client.patch(REMOTE_CLUSTERS, { namespace, name }, { metadata, status: change }, { subresource: 'status' });
    if (cluster.status?.ready !== true && status.ready === true) {
      this.#deps.events.event(cluster, 'Normal', REASON.Provisioned, CONDITION.Ready, 'The infrastructure of the cluster is ready');
    }
  }

  /** Its Cluster: the one that refers to it; before Cluster API set an owner reference, too. */
  #ownerOf(cluster: RemoteCluster): Cluster | undefined {
    const { namespace = '', ownerReferences = [], labels } = cluster.metadata;
    const [referring] = this.#deps.clusters.byIndex('remoteCluster', keyOf(cluster));
    if (referring !== undefined) return referring;
    const owner = ownerReferences.find(({ kind, apiVersion }) => kind === 'Cluster' && apiVersion.startsWith(`${CLUSTER_GROUP}/`));
    const name = owner?.name ?? labels?.[CLUSTER_NAME_LABEL];
    return name === undefined ? undefined : this.#deps.clusters.get(namespace, name);
  }

  watch(queue: Enqueue): { remoteClusters: ChangeHandler<RemoteCluster>; clusters: ChangeHandler<Cluster> } {
    return {
      remoteClusters: ({ object }) => queue.add({ namespace: object.metadata.namespace ?? '', name: object.metadata.name }),
      clusters: ({ type, object, old }) => {
        const { namespace = '' } = object.metadata;
        const [ref, before] = [object, old].map((cluster) => cluster?.spec?.infrastructureRef);
        const isSame = ref?.kind === before?.kind && ref?.name === before?.name && old?.spec?.paused === object.spec?.paused;
        if (type === 'updated' && isSame) return;
        for (const named of [ref, before]) if (named?.kind === 'RemoteCluster') queue.add({ namespace, name: named.name });
      },
    };
  }
}

type ClusterStatus = NonNullable<RemoteCluster['status']>;

/** Pure. A paused RemoteCluster says so and keeps what it had. */
export function statusOf(cluster: RemoteCluster, owner: Cluster | undefined, now: Date): ClusterStatus {
  const status = structuredClone(cluster.status ?? {});
  const mark = (type: ConditionType, value: 'True' | 'False', reason: Reason, message: string): void => {
    const { generation } = cluster.metadata;
    const condition = { type, status: value, reason, message, ...(generation !== undefined && { observedGeneration: generation }) };
    status.conditions = setCondition(status.conditions, condition, now);
  };
  const annotated = cluster.metadata.annotations?.[PAUSED_ANNOTATION] !== undefined;
  if (annotated || owner?.spec?.paused === true) {
    const why = annotated ? `annotation ${PAUSED_ANNOTATION} is set` : `Cluster ${owner?.metadata.name ?? ''} is paused`;
    mark(CONDITION.Paused, 'True', REASON.Paused, `Paused: ${why}`);
    return status;
  }
  mark(CONDITION.Paused, 'False', REASON.NotPaused, 'Not paused');
  status.ready = true;
  status.initialization = { provisioned: true };
  if (cluster.spec?.failureDomains === undefined) delete status.failureDomains;
  else status.failureDomains = cluster.spec.failureDomains;
  mark(CONDITION.Ready, 'True', REASON.Provisioned, 'There is nothing to set up: hosts and endpoint are the user’s own');
  return status;
}
