/** What the operator reports. Times are RFC 3339, sizes bytes. */
import { z } from 'zod';

/** metav1.Condition: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties */
export const condition = z
  .object({
    type: z
      .string()
      .max(316)
      .regex(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/)
      .describe('Type of condition in CamelCase.'),
    status: z.enum(['True', 'False', 'Unknown']).describe('Status of the condition.'),
    observedGeneration: z.int().min(0).optional().describe('metadata.generation that the condition was set upon.'),
    lastTransitionTime: z.iso.datetime().describe('Last time that the status changed.'),
    reason: z
      .string()
      .min(1)
      .max(1024)
      .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
      .describe('Reason for the last transition, in CamelCase.'),
    message: z.string().max(32768).describe('What is so and what it waits for, for people.'),
  })
  .describe('One aspect of the current state (metav1.Condition).');
export type Condition = z.infer<typeof condition>;

export const conditions = z
  .array(condition)
  .max(32)
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
  .describe('Conditions of the object, one a type.');

export const initialization = z
  .object({ provisioned: z.boolean().optional().describe('True once provisioning has completed; it never turns back.') })
  .describe('Provisioning, as the v1beta2 contract reads it.');

/** What the host said of itself at the last contact. */
export const hostFacts = z
  .object({
    hostname: z.string().optional().describe('Host name.'),
    machineID: z.string().optional().describe('Content of /etc/machine-id.'),
    os: z.string().optional().describe('PRETTY_NAME of os-release(5).'),
    kernel: z.string().optional().describe('Kernel release (uname -r).'),
    architecture: z.string().optional().describe('Machine hardware name (uname -m).'),
    cpus: z.int().optional().describe('Number of processors online.'),
    memory: z.int().optional().describe('Total memory in bytes.'),
    hostKey: z.string().optional().describe('SHA256 fingerprint of the SSH host key that the host presented.'),
  })
  .describe('Facts of the host, read at first contact.');
export type HostFacts = z.infer<typeof hostFacts>;

export const machineAddress = z
  .object({
    type: z.enum(['Hostname', 'ExternalIP', 'InternalIP', 'ExternalDNS', 'InternalDNS']).describe('Type of the address.'),
    address: z.string().min(1).max(256).describe('The address.'),
  })
  .describe('An address of the machine (Cluster API MachineAddress).');
export type MachineAddress = z.infer<typeof machineAddress>;

export const BOOTSTRAP_PHASES = ['Claimed', 'Running', 'Succeeded', 'Failed'] as const;

export const bootstrapStatus = z
  .object({
    runID: z.string().optional().describe('ID of the run.'),
    phase: z.enum(BOOTSTRAP_PHASES).optional().describe('Where the run is.'),
    startedAt: z.iso.datetime().optional().describe('When the first command started.'),
    finishedAt: z.iso.datetime().optional().describe('When the run ended.'),
    command: z.string().optional().describe('The command that runs or that failed, by its place in the bootstrap data.'),
    exitCode: z.int32().optional().describe('Exit code of the run.'),
    dataVersion: z
      .string()
      .optional()
      .describe(
        'Resource version of the bootstrap Secret when the run got its host: where it was changed since, what the run prints is not shown.',
      ),
  })
  .describe('The run of the bootstrap data on the host.');

export const remoteMachineStatus = z.object({
  ready: z.boolean().optional().describe('True once the machine is provisioned (v1beta1 contract).'),
  initialization: initialization.optional(),
  addresses: z.array(machineAddress).max(32).optional().describe('Addresses of the machine.'),
  failureDomain: z.string().max(256).optional().describe('Failure domain of the host; the Machine takes it over.'),
  bootstrap: bootstrapStatus.optional(),
  host: hostFacts.optional(),
  conditions: conditions.optional(),
  failureReason: z.string().optional().describe('Reason of a terminal failure (v1beta1 contract; informational).'),
  failureMessage: z.string().optional().describe('Message of a terminal failure (v1beta1 contract; informational).'),
});

export const pooledRemoteMachineStatus = z.object({
  reserved: z.boolean().optional().describe('True while a machine has this host or it waits for its cleanup.'),
  machineRef: z
    .object({
      name: z.string().describe('Name of the RemoteMachine.'),
      namespace: z.string().describe('Namespace of the RemoteMachine.'),
      uid: z.string().optional().describe('UID of the RemoteMachine.'),
      clusterName: z.string().optional().describe('Cluster of the RemoteMachine, in the same namespace.'),
    })
    .optional()
    .describe('RemoteMachine that has this host.'),
  host: hostFacts.optional(),
  conditions: conditions.optional(),
});

const failureDomain = z.object({
  name: z.string().min(1).max(256).describe('Name of the failure domain.'),
  controlPlane: z.boolean().optional().describe('Whether control plane machines may be placed in it.'),
  attributes: z.record(z.string(), z.string()).optional().describe('Further properties of it.'),
});

export const failureDomains = z
  .array(failureDomain)
  .max(100)
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] });

export const remoteClusterStatus = z.object({
  ready: z.boolean().optional().describe('True once the infrastructure is ready (v1beta1 contract).'),
  initialization: initialization.optional(),
  failureDomains: failureDomains.optional().describe('Failure domains that machines may be placed in.'),
  conditions: conditions.optional(),
});
