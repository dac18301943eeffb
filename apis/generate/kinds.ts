/** The kinds as the API server is told of them. */
import type { z } from 'zod';
import { pooledRemoteMachineSpec, remoteMachineSpec } from '../infrastructure/connection.ts';
import {
  remoteClusterSpec,
  remoteClusterTemplateSpec,
  remoteMachineTemplateResourceSpec,
  remoteMachineTemplateStatus,
} from '../infrastructure/kinds.ts';
import type { Rule } from '../infrastructure/rules.ts';
import { POOLED_REMOTE_MACHINE_RULES, REMOTE_MACHINE_RULES } from '../infrastructure/rules.ts';
import { pooledRemoteMachineStatus, remoteClusterStatus, remoteMachineStatus } from '../infrastructure/status.ts';

export interface Column {
  name: string;
  type: 'string' | 'boolean' | 'date';
  jsonPath: string;
  description: string;
  /** 1: shown only with -o wide. */
  priority?: 1;
}

export interface Kind {
  kind: string;
  /** Lower case; the kind's name in paths. */
  plural: string;
  shortName: string;
  description: string;
  spec: z.ZodType;
  /** A manifest without spec is refused. */
  specRequired: boolean;
  status?: z.ZodType;
  /** Whether status is written through /status, that is, by a controller. */
  statusSubresource: boolean;
  columns: Column[];
  rules: Rule[];
  /** Labels of the CRD besides those that all have. */
  labels?: Record<string, string>;
}

const fromCondition = (type: string, field: 'status' | 'reason'): string => `.status.conditions[?(@.type=="${type}")].${field}`;

const ready: Column = {
  name: 'Ready',
  type: 'string',
  jsonPath: fromCondition('Ready', 'status'),
  description: 'Status of the condition Ready.',
};
const reason: Column = {
  name: 'Reason',
  type: 'string',
  jsonPath: fromCondition('Ready', 'reason'),
  description: 'Reason of the condition Ready.',
};
const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' };
const pool = (jsonPath: string): Column => ({ name: 'Pool', type: 'string', jsonPath, description: 'Pool of hosts.' });

export const KINDS: Kind[] = [
  {
    kind: 'RemoteCluster',
    plural: 'remoteclusters',
    shortName: 'rcluster',
    description:
      'The infrastructure of a Cluster whose machines already exist: its API endpoint and failure domains, both as the user says.',
    // `spec:` with nothing after it is null, which a server-side apply refuses unless it is allowed.
    spec: remoteClusterSpec.nullable(),
    specRequired: false,
    status: remoteClusterStatus,
    statusSubresource: true,
    columns: [
      {
        name: 'Cluster',
        type: 'string',
        jsonPath: '.metadata.labels.cluster\\.x-k8s\\.io/cluster-name',
        description: 'Cluster that it belongs to.',
      },
      ready,
      {
        name: 'Endpoint',
        type: 'string',
        jsonPath: '.spec.controlPlaneEndpoint.host',
        description: 'Address of the API server.',
      },
      age,
    ],
    rules: [],
  },
  {
    kind: 'RemoteClusterTemplate',
    plural: 'remoteclustertemplates',
    shortName: 'rct',
    description: 'A template that a ClusterClass makes RemoteClusters from.',
    spec: remoteClusterTemplateSpec,
    specRequired: true,
    statusSubresource: false,
    columns: [age],
    rules: [],
  },
  {
    kind: 'RemoteMachine',
    plural: 'remotemachines',
    shortName: 'rmachine',
    description: 'The host of a Machine: one named by its address, or one taken from a pool.',
    spec: remoteMachineSpec,
    // Without one it has neither pool nor address, and a condition says so.
    specRequired: false,
    status: remoteMachineStatus,
    statusSubresource: true,
    columns: [
      {
        name: 'Cluster',
        type: 'string',
        jsonPath: '.metadata.labels.cluster\\.x-k8s\\.io/cluster-name',
        description: 'Cluster that it belongs to.',
      },
      pool('.spec.pool'),
      { name: 'Address', type: 'string', jsonPath: '.spec.address', description: 'Address of the host.' },
      {
        name: 'ProviderID',
        type: 'string',
        jsonPath: '.spec.providerID',
        description: 'Identity of the host to Cluster API.',
        priority: 1,
      },
      ready,
      reason,
      age,
    ],
    rules: REMOTE_MACHINE_RULES,
  },
  {
    kind: 'RemoteMachineTemplate',
    plural: 'remotemachinetemplates',
    shortName: 'rmt',
    description: 'A template that control planes and MachineDeployments make RemoteMachines from.',
    spec: remoteMachineTemplateResourceSpec,
    specRequired: true,
    status: remoteMachineTemplateStatus,
    // People write it beside spec: as a subresource it would be dropped from their manifests in silence.
    statusSubresource: false,
    columns: [pool('.spec.template.spec.pool'), age],
    rules: [],
  },
  {
    kind: 'PooledRemoteMachine',
    plural: 'pooledremotemachines',
    shortName: 'prm',
    description: 'An entry of a pool: one host, free or reserved for one RemoteMachine.',
    spec: pooledRemoteMachineSpec,
    specRequired: true,
    status: pooledRemoteMachineStatus,
    statusSubresource: true,
    columns: [
      pool('.spec.pool'),
      { name: 'Address', type: 'string', jsonPath: '.spec.machine.address', description: 'Address of the host.' },
      { name: 'Reserved', type: 'boolean', jsonPath: '.status.reserved', description: 'Whether a machine has the host.' },
      { name: 'Machine', type: 'string', jsonPath: '.status.machineRef.name', description: 'RemoteMachine that has the host.' },
      ready,
      { name: 'Clean', type: 'string', jsonPath: fromCondition('Clean', 'status'), description: 'Status of the condition Clean.' },
      { ...reason, priority: 1 },
      age,
    ],
    rules: POOLED_REMOTE_MACHINE_RULES,
    // No Cluster owns an entry, so clusterctl move takes it along only by this label.
    labels: { 'clusterctl.cluster.x-k8s.io/move': '' },
  },
];
