/** Objects for tests of the controllers, as users and Cluster API write them. */
import { SECRETS } from '../../../apis/core.ts';
import { ANNOTATION, MACHINE_FINALIZER } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Resource } from '../../framework/types.ts';

export const NAMESPACE = 'ns';
export const ADDRESS = '10.0.0.1';
export const RUN = 'm-1';

const clusterResource = (kind: string, plural: string): Resource => ({
  group: 'cluster.x-k8s.io',
  version: 'v1beta2',
  plural,
  kind,
  namespaced: true,
});
export const OWNERS = clusterResource('Machine', 'machines');
export const CLUSTERS = clusterResource('Cluster', 'clusters');

type Made = [Resource, object];

export const secret = (name: string, data: Record<string, string>): Made => [
  SECRETS,
  {
    metadata: { namespace: NAMESPACE, name, labels: { 'clusterctl.cluster.x-k8s.io/move': '' } },
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
  },
];

export const DATA = '#cloud-config\nruncmd:\n- echo a-secret-line > /run/cluster-api/bootstrap-success.complete\n';

/** A Cluster whose infrastructure is ready. */
export const cluster = (spec: object = {}, status: object = { initialization: { infrastructureProvisioned: true } }): Made => [
  CLUSTERS,
  { metadata: { namespace: NAMESPACE, name: 'c' }, spec: { infrastructureRef: { kind: 'RemoteCluster', name: 'c' }, ...spec }, status },
];

export const owner = (spec: object = {}): Made => [
  OWNERS,
  {
    metadata: { namespace: NAMESPACE, name: 'm' },
    spec: { clusterName: 'c', bootstrap: { dataSecretName: 'data' }, infrastructureRef: { kind: 'RemoteMachine', name: 'm' }, ...spec },
  },
];

export interface Extra {
  annotations?: Record<string, string>;
  [field: string]: unknown;
}

export const machine = (spec: object, { status, ...metadata }: Extra = {}): Made => [
  REMOTE_MACHINES,
  {
    metadata: {
      namespace: NAMESPACE,
      name: 'm',
      ownerReferences: [{ apiVersion: 'cluster.x-k8s.io/v1beta2', kind: 'Machine', name: 'm', uid: 'owner' }],
      ...metadata,
    },
    spec: { sshKeyRef: { name: 'key' }, ...spec },
    ...(status !== undefined && { status }),
  },
];

/** A machine that has its host and its run ID. */
export const reserved = (spec: object = { address: ADDRESS }, { annotations, ...extra }: Extra = {}): Made =>
  machine(spec, { finalizers: [MACHINE_FINALIZER], annotations: { [ANNOTATION.runID]: RUN, ...annotations }, ...extra });

export const entry = (name: string, spec: object = {}, metadata: object = {}, status?: object): Made => [
  POOLED_REMOTE_MACHINES,
  {
    metadata: { namespace: NAMESPACE, name, ...metadata },
    spec: { pool: 'p', machine: { address: ADDRESS, sshKeyRef: { name: 'key' } }, ...spec },
    ...(status !== undefined && { status }),
  },
];

/** The Secrets that a machine needs. */
export const secrets = (data = DATA): Made[] => [secret('key', { value: 'a private key' }), secret('data', { value: data })];
