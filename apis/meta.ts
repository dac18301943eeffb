/** The parts of Kubernetes' own API types that the operator reads (meta/v1 and core/v1). */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

/** An object as the API server returns it. `spec` may be missing: the samples' RemoteCluster has `spec:` empty. */
export interface KubernetesObject<Spec = unknown, Status = unknown> {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: Spec;
  status?: Status;
}

/** Values of `data` are base64. */
export interface Secret extends KubernetesObject<never, never> {
  data?: Record<string, string>;
  type?: string;
}

export interface ConfigMap extends KubernetesObject<never, never> {
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export interface NodeSpec {
  providerID?: string;
}
export interface NodeStatus {
  addresses?: { type: string; address: string }[];
  nodeInfo?: { machineID?: string };
}
export type Node = KubernetesObject<NodeSpec, NodeStatus>;

/** `namespace/name` of an object, or its name where it has no namespace: the key of caches and queues. */
export const keyOf = (object: { metadata: { namespace?: string; name: string } }): string =>
  object.metadata.namespace === undefined ? object.metadata.name : `${object.metadata.namespace}/${object.metadata.name}`;
