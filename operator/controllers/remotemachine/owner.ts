/** What a RemoteMachine belongs to: its Machine and Cluster, and whether they hold it still. Pure. */
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import {
  type Cluster,
  CLUSTER_GROUP,
  CLUSTER_NAME_LABEL,
  DELETE_FOR_MOVE_ANNOTATION,
  type Machine,
  PAUSED_ANNOTATION,
  WATCH_FILTER_LABEL,
} from '../../../apis/cluster/types.ts';
import type { ObjectMeta } from '../../../apis/meta.ts';

/** Name of the owning Machine: by group and kind, of whatever version. */
export function ownerMachineName(machine: RemoteMachine): string | undefined {
  const isMachine = (apiVersion: string, kind: string): boolean => kind === 'Machine' && apiVersion.startsWith(`${CLUSTER_GROUP}/`);
  return machine.metadata.ownerReferences?.find(({ apiVersion, kind }) => isMachine(apiVersion, kind))?.name;
}

export const clusterNameOf = (machine: RemoteMachine, owner: Machine | undefined): string | undefined =>
  owner?.spec?.clusterName ?? machine.metadata.labels?.[CLUSTER_NAME_LABEL];

const annotated = (metadata: ObjectMeta, annotation: string): boolean => metadata.annotations?.[annotation] !== undefined;

/** Why it is paused, in words; undefined: it is not. */
export function pausedBy(machine: RemoteMachine, cluster: Cluster | undefined): string | undefined {
  if (annotated(machine.metadata, PAUSED_ANNOTATION)) return `annotation ${PAUSED_ANNOTATION} is set`;
  if (cluster?.spec?.paused === true) return `Cluster ${cluster.metadata.name} is paused`;
  return undefined;
}

/** clusterctl move deletes the object here because it lives on elsewhere: its host is not ours to touch any more. */
export const isMovedAway = (machine: RemoteMachine): boolean => annotated(machine.metadata, DELETE_FOR_MOVE_ANNOTATION);

/** Whether --watch-filter leaves the object to this manager. */
export const isWatched = (metadata: ObjectMeta, filter: string | undefined): boolean =>
  filter === undefined || metadata.labels?.[WATCH_FILTER_LABEL] === filter;
