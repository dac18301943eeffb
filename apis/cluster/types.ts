/**
 * The parts of Cluster API's Machine and Cluster that the operator reads, in both served versions:
 * v1beta1 references carry apiVersion, v1beta2 ones apiGroup.
 */
import type { KubernetesObject } from '../meta.ts';

export const CLUSTER_GROUP = 'cluster.x-k8s.io';
export const CLUSTER_NAME_LABEL = 'cluster.x-k8s.io/cluster-name';
export const PAUSED_ANNOTATION = 'cluster.x-k8s.io/paused';
export const MANAGED_BY_ANNOTATION = 'cluster.x-k8s.io/managed-by';
export const WATCH_FILTER_LABEL = 'cluster.x-k8s.io/watch-filter';
export const DELETE_FOR_MOVE_ANNOTATION = 'clusterctl.cluster.x-k8s.io/delete-for-move';

export interface ContractReference {
  apiVersion?: string;
  apiGroup?: string;
  kind: string;
  name: string;
}

export interface MachineSpec {
  clusterName: string;
  failureDomain?: string;
  providerID?: string;
  bootstrap: { configRef?: ContractReference; dataSecretName?: string };
  infrastructureRef: ContractReference;
}
export interface MachineStatus {
  nodeRef?: { name: string };
  phase?: string;
}
export type Machine = KubernetesObject<MachineSpec, MachineStatus>;

export interface ClusterSpec {
  paused?: boolean;
  infrastructureRef?: ContractReference;
}
export interface ClusterStatus {
  infrastructureReady?: boolean;
  initialization?: { infrastructureProvisioned?: boolean };
}
export type Cluster = KubernetesObject<ClusterSpec, ClusterStatus>;

export const infrastructureReady = (cluster: Cluster): boolean =>
  cluster.status?.initialization?.infrastructureProvisioned ?? cluster.status?.infrastructureReady ?? false;
