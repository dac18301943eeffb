/** How a host is reached and treated: the fields that RemoteMachine, its template and PooledRemoteMachine share. */
import { z } from 'zod';

export const DEFAULT_PORT = 22;
export const DEFAULT_USER = 'root';

const port = z.int32().min(1).max(65535);

const address = z
  .string()
  .min(1)
  .max(253)
  .describe('IPv4 address, IPv6 address (with or without brackets) or DNS name under which sshd answers.');

export const sshKeyRef = z
  .object({
    name: z.string().max(253).describe('Name of the Secret, in the namespace of this object. Empty, as k0smotron stores it: not set.'),
  })
  .describe(
    'Secret with the SSH private key under the key `value` (OpenSSH, PEM or PKCS#8; ed25519, ECDSA or RSA) and, where it is encrypted, its `passphrase`. Label it clusterctl.cluster.x-k8s.io/move to have clusterctl move take it along.',
  );

export const hostKeys = z
  .array(z.string().min(1).max(16384))
  .max(16)
  .describe(
    'Host keys that the host may present: OpenSSH public keys (`ssh-ed25519 AAAA…`) or fingerprints (`SHA256:…`). Not set: knownHostsRef decides, else the key seen at first contact is pinned.',
  );

export const knownHostsRef = z
  .object({
    kind: z.enum(['Secret', 'ConfigMap']).describe('Kind of the object.'),
    name: z.string().min(1).max(253).describe('Name of the object, in the namespace of this object.'),
  })
  .describe('Secret or ConfigMap with known host keys under the key `known_hosts`, in the format of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.');

const user = z.string().min(1).max(256).describe('User to log in as. Not set: root.');

export const bastion = z
  .object({
    address,
    port: port.optional().describe('TCP port of sshd. Not set: 22.'),
    user: user.optional(),
    sshKeyRef: sshKeyRef.optional(),
    hostKeys: hostKeys
      .describe(
        'Host keys that the bastion may present, as of a host. Not set: knownHostsRef decides; a bastion is never trusted at first contact.',
      )
      .optional(),
  })
  .describe('A host that the connection is forwarded through, as ssh_config(5) ProxyJump does. sshKeyRef not set: the key of the machine.');

/** Everything of a machine but where it is and which pool it comes from. */
const treatment = {
  user: user.optional(),
  useSudo: z.boolean().optional().describe('Run everything through `sudo -n`, for users other than root. Not set: false.'),
  commandsAsScript: z
    .boolean()
    .optional()
    .describe('Run the commands of the bootstrap data as one script under `set -e` in place of one after the other. Not set: false.'),
  workingDir: z
    .string()
    .max(4096)
    .regex(/^\//)
    .optional()
    .describe('Absolute path of the directory in which the commands start; it is made where it is missing. Not set: /.'),
  sshKeyRef: sshKeyRef.optional(),
  hostKeys: hostKeys.optional(),
  knownHostsRef: knownHostsRef.optional(),
  bastions: z.array(bastion).max(8).optional().describe('Hosts to go through, the outermost first.'),
  cleanUpCommands: z
    .array(z.string().max(65536))
    .max(256)
    .optional()
    .describe(
      'Commands that clean the host when the machine is deleted, run one after the other in /bin/sh as root; all must succeed before the host is given back. Not set: what the bootstrap provider of the machine needs (kubeadm, k0s, RKE2, K3s, MicroK8s).',
    ),
  customCleanUpCommands: z
    .array(z.string().max(65536))
    .max(256)
    .optional()
    .describe('The v1beta1 name of cleanUpCommands, read where that is not set.'),
};

const provisionJob = z
  .object({
    sshCommand: z.string().max(1024).optional().describe('Command that opens the SSH session. Not set: ssh.'),
    scpCommand: z.string().max(1024).optional().describe('Command that copies files. Not set: scp.'),
    jobSpecTemplate: z
      .looseObject({})
      .meta({ 'x-kubernetes-preserve-unknown-fields': true })
      .optional()
      .describe('Template of the Job (batch/v1 JobTemplateSpec). Kept as it is written.'),
  })
  .describe(
    'Provision through a Job in place of SSH from the operator. Accepted for compatibility; a machine that sets it fails with the reason ProvisionJobNotSupported.',
  );

const pool = z.string().min(1).max(253).describe('Pool to take a host from: spec.pool of PooledRemoteMachines in the same namespace.');

/** spec.machine of a PooledRemoteMachine. */
export const connectionSpec = z.object({ address, port: port.optional().describe('TCP port of sshd. Not set: 22.'), ...treatment });
export type ConnectionSpec = z.infer<typeof connectionSpec>;

/** spec of a RemoteMachine. */
export const remoteMachineSpec = z.object({
  pool: pool.optional(),
  address: address.optional(),
  port: port.optional().describe('TCP port of sshd. Not set: 22.'),
  ...treatment,
  provisionJob: provisionJob.optional(),
  providerID: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .describe('Written by the operator once the bootstrap succeeded: remote-machine://<address>:<port>.'),
});
export type RemoteMachineSpec = z.infer<typeof remoteMachineSpec>;

/** spec.template.spec of a RemoteMachineTemplate: a RemoteMachine's spec without what differs from machine to machine. */
export const remoteMachineTemplateSpec = remoteMachineSpec.omit({ address: true, providerID: true });

export const pooledRemoteMachineSpec = z.object({
  pool: z.string().min(1).max(253).describe('Pool that this host belongs to.'),
  failureDomain: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Failure domain of the host. A Machine with spec.failureDomain takes only hosts of that domain.'),
  machine: connectionSpec.describe('How the host is reached and treated.'),
});

export type Bastion = z.infer<typeof bastion>;
export type KnownHostsRef = z.infer<typeof knownHostsRef>;
