/** The kinds of this provider: schemas, and the types that follow from them. */
import { z } from 'zod';
import type { KubernetesObject } from '../meta.ts';
import { pooledRemoteMachineSpec, remoteMachineSpec, remoteMachineTemplateSpec } from './connection.ts';
import { failureDomains, pooledRemoteMachineStatus, remoteClusterStatus, remoteMachineStatus } from './status.ts';

export const templateMetadata = z
  .object({
    labels: z.record(z.string(), z.string()).optional().describe('Labels of the objects made from the template.'),
    annotations: z.record(z.string(), z.string()).optional().describe('Annotations of the objects made from the template.'),
  })
  .describe('Metadata of the objects made from the template.');

export const remoteClusterSpec = z.object({
  controlPlaneEndpoint: z
    .object({
      host: z
        .string()
        .max(512)
        .describe(
          'Address or DNS name of the API server: a virtual IP, a load balancer or a host. Empty, as k0smotron stores it: not set.',
        ),
      port: z.int32().min(0).max(65535).describe('TCP port of the API server. 0, as k0smotron stores it: not set.'),
    })
    .optional()
    .describe("The cluster's API server, provided by the user. Not set: the control plane provider says it."),
  failureDomains: failureDomains.optional().describe('Failure domains that the hosts are in; they are reported to the Cluster.'),
});

export const remoteClusterTemplateSpec = z.object({
  template: z
    .object({
      metadata: templateMetadata.optional(),
      spec: remoteClusterSpec.optional().describe('Spec of the RemoteClusters made from the template.'),
    })
    .describe('What is made from the template.'),
});

export const remoteMachineTemplateResourceSpec = z.object({
  template: z
    .object({
      metadata: templateMetadata.optional(),
      spec: remoteMachineTemplateSpec.describe('Spec of the RemoteMachines made from the template.'),
    })
    .describe('What is made from the template.'),
});

/** Written by people, not by the operator: a host's size is known only once it was reached. */
export const remoteMachineTemplateStatus = z.object({
  capacity: z
    .record(z.string(), z.union([z.string(), z.int()]).meta({ 'x-kubernetes-int-or-string': true }))
    .optional()
    .describe('Resources of a machine made from the template, for autoscaling from zero.'),
  nodeInfo: z
    .object({
      architecture: z.enum(['amd64', 'arm64', 's390x', 'ppc64le']).optional().describe('Architecture of the nodes.'),
      operatingSystem: z.string().optional().describe('Operating system of the nodes.'),
    })
    .optional()
    .describe('Properties of the nodes, for autoscaling from zero.'),
});

export type RemoteMachine = KubernetesObject<z.infer<typeof remoteMachineSpec>, z.infer<typeof remoteMachineStatus>>;
export type PooledRemoteMachine = KubernetesObject<z.infer<typeof pooledRemoteMachineSpec>, z.infer<typeof pooledRemoteMachineStatus>>;
/** spec is null where the manifest has `spec:` and nothing after it. */
export type RemoteCluster = KubernetesObject<z.infer<typeof remoteClusterSpec> | null, z.infer<typeof remoteClusterStatus>>;
