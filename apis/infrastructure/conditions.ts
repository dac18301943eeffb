/** Every condition type and every reason that the operator reports, in one place. docs/reference/conditions.md is generated from here. */

/** Condition types, in the order in which a person reads them, each with the kinds that carry it and what True means. */
const types = {
  Ready: {
    kinds: ['RemoteCluster', 'RemoteMachine', 'PooledRemoteMachine'],
    means:
      'The summary. RemoteMachine: provisioned; Unknown while something is awaited or running, False where it takes a person to go on. Entry: can be handed out or serves its machine.',
  },
  HostReserved: { kinds: ['RemoteMachine'], means: 'The machine has a host: its own address, or an entry of its pool.' },
  HostReachable: { kinds: ['RemoteMachine'], means: 'The last contact over SSH succeeded.' },
  BootstrapExecSucceeded: { kinds: ['RemoteMachine'], means: 'The bootstrap data ran on the host and succeeded.' },
  NodeProviderIDSet: { kinds: ['RemoteMachine'], means: "The workload cluster's Node carries the machine's providerID." },
  CleanedUp: { kinds: ['RemoteMachine'], means: 'While the machine is deleted: its host is clean, confirmed by looking at it.' },
  Reachable: { kinds: ['PooledRemoteMachine'], means: 'The last contact over SSH succeeded; Unknown before the first.' },
  Clean: {
    kinds: ['PooledRemoteMachine'],
    means: 'Nothing of an earlier machine is left on the host; False: quarantined, never handed out.',
  },
  Paused: {
    kinds: ['RemoteCluster', 'RemoteMachine', 'PooledRemoteMachine'],
    means: 'The operator leaves the object and its host alone.',
  },
} as const satisfies Record<string, { kinds: readonly string[]; means: string }>;

/** What a person is told of a reason. */
interface Explanation {
  means: string;
  /** What a person can do; not set: nothing needs doing. */
  action?: string;
}

const reasons = {
  // Going as it should.
  Provisioned: { means: 'Provisioning has completed.' },
  Deleting: { means: 'The object is being deleted.' },
  Paused: { means: 'The Cluster or the object is paused.', action: 'Unpause it: Cluster spec.paused, annotation cluster.x-k8s.io/paused.' },
  NotPaused: { means: 'The object is not paused.' },
  Available: { means: 'The entry is free and may be handed out.' },
  Reserved: { means: 'A machine has the host.' },
  Released: { means: 'The entry was given back to its pool.' },
  AddressGiven: { means: 'The machine names its host itself.' },
  Reachable: { means: 'The last contact over SSH succeeded.' },
  NotContacted: { means: 'Nothing has connected to the host yet.' },
  Connecting: { means: 'First contact with the host is under way.' },
  BootstrapRunning: { means: 'The bootstrap data runs on the host; the message names the command.' },
  BootstrapSucceeded: { means: 'Every step of the bootstrap data succeeded.' },
  NodeProviderIDSet: { means: "The Node carries the machine's providerID." },
  CleaningUp: { means: 'The host is being cleaned.' },
  Cleaned: { means: 'The host was cleaned, confirmed by looking at it.' },
  NeverClaimed: { means: 'Nothing ever ran on the host for this machine, so there is nothing to clean.' },
  Retrying: { means: 'The retry annotation was honoured: the host is cleaned and a new run starts.' },
  RetryRefused: {
    means: 'The retry annotation does not name the run of this machine that failed; nothing was done.',
    action: 'Annotate infrastructure.cluster.x-k8s.io/retry=<status.bootstrap.runID>.',
  },
  HostKeyPinned: { means: 'The host key seen at first contact was pinned; another one will be refused.' },
  HostKeyAccepted: { means: 'A changed host key was accepted by annotation.' },

  // Awaited.
  WaitingForOwnerMachine: { means: 'No Machine owns the object yet.', action: 'Create a Machine whose infrastructureRef names it.' },
  WaitingForCluster: { means: "The Machine's Cluster is not there yet.", action: 'Create the Cluster that the message names.' },
  WaitingForClusterInfrastructure: {
    means: 'The infrastructure of the Cluster is not ready yet.',
    action: 'Look at its infrastructureRef.',
  },
  WaitingForBootstrapData: {
    means: "The bootstrap provider has not set the Machine's spec.bootstrap.dataSecretName yet.",
    action: "Look at the Machine's bootstrap config and, for workers, at the control plane that they wait for.",
  },
  WaitingForHost: {
    means: 'No entry of the pool is free, clean and reachable for the machine; the message names the pool and what holds its entries.',
    action: 'Add a PooledRemoteMachine, or look at those of the pool that are not Ready.',
  },
  WaitingForNode: {
    means: 'The workload cluster has no Node of this host yet. A controller-only machine never gets one: that is no fault.',
  },
  WaitingForConnection: {
    means: 'As many SSH connections as may be are open, in all or through the bastion; the machine is in the queue.',
    action: 'Raise --max-connections or --max-connections-per-bastion if the operator and the bastion can bear it.',
  },
  MachineAbsent: {
    means:
      'The RemoteMachine that has the host is gone without having cleaned it. While a Cluster of the namespace is paused, or its own is gone, it may live on in another management cluster.',
    action:
      'Wait for clusterctl move to end, or unpause the Cluster. If the machine is gone for good, annotate the entry infrastructure.cluster.x-k8s.io/release=force once the host is clean.',
  },
  ReservationUnknown: {
    means: 'The entry was moved or restored while a machine had it, and no RemoteMachine names it yet: it is not handed out meanwhile.',
    action: 'Wait until the machines of the namespace are there and their Clusters are no longer paused.',
  },
  WaitingForCleanup: { means: 'The host of a failed or deleted machine is cleaned before anyone else gets it.' },

  // Bad input.
  NoPoolOrAddress: { means: 'The RemoteMachine names neither a pool nor an address.', action: 'Set spec.pool or spec.address.' },
  AddressNotInPool: {
    means: 'The RemoteMachine names a pool and an address, and no entry of the pool has that address and port.',
    action: 'Remove one of the two, or add the entry.',
  },
  NoSuchPool: {
    means: 'No PooledRemoteMachine of the namespace names the pool; one is waited for.',
    action: 'Correct spec.pool, or create the entries.',
  },
  DuplicateHost: {
    means: 'Another object has the same host (address, port and bastions); that one is served. The message names it.',
    action: 'Delete one of the two, or correct its address.',
  },
  ProvisionJobNotSupported: {
    means: 'spec.provisionJob is set and is not supported.',
    action: 'Remove it and give sshKeyRef in its place.',
  },
  SSHKeyRefMissing: { means: 'No spec.sshKeyRef names the SSH key.', action: 'Set sshKeyRef.name.' },
  SecretNotFound: {
    means: 'A Secret or ConfigMap that is needed does not exist; the message names it.',
    action: 'Create it; it is read again on its own.',
  },
  SecretKeyMissing: { means: 'A Secret or ConfigMap lacks the key that the message names.', action: 'Add the key.' },
  KeyNotMovable: {
    means: 'The Secret with the SSH key lacks the label clusterctl.cluster.x-k8s.io/move: clusterctl move would leave it behind.',
    action: 'kubectl label secret <name> clusterctl.cluster.x-k8s.io/move=',
  },

  // SSH.
  InvalidPrivateKey: {
    means: 'The Secret holds no private key of a supported kind.',
    action: 'Store an OpenSSH, PEM or PKCS#8 key under `value`.',
  },
  PassphraseRequired: { means: 'The private key is encrypted.', action: 'Add its passphrase to the Secret under `passphrase`.' },
  WrongPassphrase: { means: 'The passphrase does not open the private key.', action: 'Correct `passphrase` in the Secret.' },
  AddressNotFound: { means: 'The DNS name of the host or bastion has no address.', action: 'Correct the name or the DNS.' },
  ConnectionRefused: { means: 'Nothing listens on that port.', action: 'Start sshd, or correct spec.port.' },
  HostUnreachable: { means: 'There is no route to the host.', action: 'Look at the network between operator and host.' },
  ConnectTimeout: { means: 'The host did not answer in time.', action: 'Look at the host, its firewall and the way to it.' },
  HandshakeFailed: {
    means: 'What answers is not SSH, or has no algorithm in common with the operator.',
    action: 'Correct spec.port; for an old sshd start the operator with --ssh-legacy-algorithms.',
  },
  HostKeyChanged: {
    means: 'The host presents another key than the expected one; the message has both fingerprints.',
    action:
      'If the host was set up anew, annotate infrastructure.cluster.x-k8s.io/accept-host-key=<new fingerprint>; else someone may be in between.',
  },
  HostKeyUnknown: {
    means:
      'Nothing says which key the host or bastion has: the known hosts lack it, a bastion has no hostKeys, or an entry of hostKeys can not be read.',
    action: 'Add or correct it in hostKeys, or in the object that knownHostsRef names.',
  },
  AuthenticationFailed: { means: 'The host refuses the user or the key.', action: "Put the public key in the user's authorized_keys." },
  SudoPasswordRequired: { means: 'sudo asks for a password.', action: 'Give the user NOPASSWD rights in sudoers.' },
  SudoUnavailable: {
    means: 'sudo is not installed on the host, or wants a terminal.',
    action: 'Install it and take requiretty from the user in sudoers, or log in as root without useSudo.',
  },
  ForwardingRefused: {
    means: 'A bastion refuses to forward the connection.',
    action: "Set AllowTcpForwarding in the bastion's sshd_config.",
  },
  ChannelRefused: { means: 'sshd opens no session.', action: 'Look at MaxSessions, ForceCommand and the login shell of the user.' },
  ExecTimeout: { means: 'A short command on the host did not end in time.', action: 'Look at the load and the disks of the host.' },
  OutputTooLong: { means: 'The host sent more than was asked for.', action: "Look for printing commands in the shell's startup files." },
  ConnectionLost: { means: 'The connection broke; it is made again, and the run goes on meanwhile.' },

  // The host.
  HostInUse: {
    means: 'The claim on the host belongs to another machine or another management cluster; the message names it.',
    action: 'Let that one be deleted, or clean the host by hand and remove /var/lib/cluster-api-provider-remote/claim.',
  },
  ClaimLost: {
    means:
      'The host no longer has the claim of this machine: someone removed it, or the host was set up anew. Terminal: nothing runs twice.',
    action:
      'Look at the host before anything else runs on it; delete the Machine, or annotate infrastructure.cluster.x-k8s.io/retry=<run ID>.',
  },
  StillRunning: {
    means: 'Processes of the run can not be killed; the message names them.',
    action: 'Look at the host; processes that wait for a dead disk or mount end only with a reboot.',
  },
  HostNotWritable: { means: 'The host can not be written to: read-only, full, or no rights.', action: 'Free space, or set useSudo.' },
  HostUnsuitable: { means: 'A tool that is needed is missing on the host; the message names it.', action: 'Install it.' },
  RunnerProtocol: { means: 'The host answered something unexpected.', action: "Look for printing commands in the shell's startup files." },

  // Bootstrap data.
  BootstrapDataEmpty: { means: 'The bootstrap Secret holds nothing.', action: 'Look at the bootstrap provider.' },
  BootstrapDataBinary: { means: 'The bootstrap data is not text.', action: 'Look at the bootstrap provider.' },
  BootstrapDataTooLarge: { means: 'The bootstrap data unpacks to more than is taken.', action: 'Make it smaller.' },
  BootstrapDataInvalid: {
    means: 'The bootstrap data can not be parsed; the message names the line.',
    action: 'Correct the bootstrap config.',
  },
  BootstrapFormatUnsupported: {
    means: 'The format of the bootstrap data, or its version, is not supported.',
    action: 'Use cloud-config, or Ignition 2.0 to 2.4 or 3.0 to 3.5.',
  },
  BootstrapKeyUnsupported: {
    means: 'The bootstrap data has a key that can not be honoured; the message names it.',
    action: 'Remove the key.',
  },

  // The run.
  BootstrapFailed: {
    means: 'A step of the bootstrap data failed; the message names it, with exit code and last output. Terminal.',
    action: 'Correct the cause; delete the Machine, or annotate infrastructure.cluster.x-k8s.io/retry=<run ID>.',
  },
  BootstrapTimedOut: {
    means: 'The run took longer than --bootstrap-timeout. Terminal.',
    action: 'As BootstrapFailed; give it more time if it needs it.',
  },
  BootstrapVanished: {
    means: 'The run started and is gone without an exit code, on a host that was not switched off: it was killed. Terminal.',
    action: 'As BootstrapFailed.',
  },
  HostRebooted: {
    means: 'The host was switched off, or rebooted, in the middle of the run: by a power cut, or by a command. Terminal.',
    action: 'As BootstrapFailed; a reboot belongs into power_state of the bootstrap data, which comes when all has run.',
  },
  HostRebooting: {
    means: 'Every step of the bootstrap data succeeded and it asks for a reboot; the machine is ready when the host is back.',
    action: 'Look at the host if it does not come back.',
  },
  SentinelMissing: {
    means: 'Every step succeeded, but /run/cluster-api/bootstrap-success.complete was not written. Terminal.',
    action: 'As BootstrapFailed; look for a command whose failure is swallowed.',
  },

  // The Node.
  NodeAmbiguous: {
    means: 'Several Nodes could be this host; the message names them.',
    action: 'Give the hosts distinct machine-ids and names.',
  },
  NodeHasOtherProviderID: {
    means: 'The Node already has another providerID, which can not be changed.',
    action: 'Delete the Node, or the Machine.',
  },
  KubeconfigNotFound: { means: 'The Secret <cluster>-kubeconfig is not there yet.' },
  WorkloadClusterUnreachable: {
    means: 'The API server of the workload cluster does not answer, or not as it should.',
    action: 'Look at what the message names.',
  },

  // Cleanup.
  CleanupFailed: {
    means: 'A cleanup command or check failed; the message names it. It is tried again.',
    action: 'Clean the host by hand, or annotate the entry infrastructure.cluster.x-k8s.io/release=force.',
  },
  CleanupDeadlineExceeded: {
    means: 'The host could not be cleaned in time: the machine was let go and its entry is quarantined.',
    action: 'As CleanupFailed.',
  },
  NoCleanupKnown: {
    means: 'Something ran on the host and nothing says how to clean it.',
    action:
      'Set cleanUpCommands on the entry, or on a machine that names its host. Or clean the host by hand and remove /var/lib/cluster-api-provider-remote/claim there, or annotate the entry infrastructure.cluster.x-k8s.io/release=force.',
  },
  Quarantined: { means: 'The host may be dirty and is not handed out.', action: 'See the condition Clean of the entry.' },
  ReleaseForced: { means: 'A person gave the entry back without a confirmed cleanup.' },

  Forbidden: {
    means: 'The API server refuses the operator a right; the message names it. It tries again.',
    action:
      "Apply the manifests of the operator's version, and look for what else keeps its ServiceAccount, or in a workload cluster the user of its kubeconfig, from it.",
  },
  InternalError: {
    means: 'The operator failed in a way that it has no name for. It tries again.',
    action: 'Look at its log and report it.',
  },
} as const satisfies Record<string, Explanation>;

/** Reasons of Events about bootstrap data that is carried out, but perhaps not as its author thinks. */
export const FINDINGS: Record<string, string> = {
  HeaderMissing: 'The data does not begin with #cloud-config; it is taken as cloud-config all the same.',
  DuplicateKey: 'A key stands there more than once; the last one counts, as in cloud-init.',
  DuplicatePart: 'A part of the data has the name of a later one, or of the commands of runcmd, which takes its place, as in cloud-init.',
  SecondHeader: 'Another #cloud-config begins in the middle of the data; all of it is one document, as in cloud-init.',
  DuplicateUser: 'Two entries of users have one name and are one user; of a field that both have the first counts, as in cloud-init.',
  TemplateVariableMissing:
    'The template names a variable that does not exist here. As in cloud-init, CI_MISSING_JINJA_VAR/<name> is written in its place, and asked for it is undefined.',
  RunsOnceOnly: 'bootcmd runs once, with the bootstrap, and not at every boot.',
  KeyWithoutEffect: 'A key has no effect on a machine that exists already; the message says why.',
  PermissionsNumber: 'Permissions are a number in place of a quoted string; the message says how it was read.',
  EmptyPassword: 'A user has an empty password and lock_passwd: false; an account without a password stays locked.',
  DefaultUserIgnored: 'The default user of an image is known to cloud-init only; no such user is made.',
  KeyIDShort: 'A key of apt is named by eight digits, which anyone can make another key for; its fingerprint is safe.',
  MountIgnored: 'An entry of mounts names a disk as a cloud does, and a host here has none of that name.',
  MountNotKept: 'A file system of an Ignition document is mounted for the run, as Ignition does it, and by nothing at the next boot.',
  ModeBitsIgnored: 'As in Ignition the setuid, setgid and sticky bits of a mode are not set.',
  RebootsAtTheEnd: 'A reboot that packages need comes once, when all has run.',
  StaysOff: 'The host is switched off after the run, and its machine is ready once somebody has switched it on again.',
  EtcHostsKept: 'Only the line of the host itself is set in /etc/hosts; the rest stays as it is.',
  MoreWarnings: 'There are more warnings than are told one by one; the message says how many.',
};

export type ConditionType = keyof typeof types;
export type Reason = keyof typeof reasons;

const names = <K extends string>(table: Record<K, unknown>): { readonly [P in K]: P } =>
  Object.fromEntries(Object.keys(table).map((name) => [name, name])) as { [P in K]: P };

/** Condition types by their name. */
export const CONDITION = names(types);
/** Reasons of conditions and Events by their name. */
export const REASON = names(reasons);

export const CONDITION_TYPES: Record<ConditionType, { kinds: readonly string[]; means: string }> = types;
export const EXPLANATIONS: Record<Reason, Explanation> = reasons;
/** What each reason means, in one line. */
export const DESCRIPTIONS = Object.fromEntries(Object.entries(reasons).map(([reason, { means }]) => [reason, means])) as Record<
  Reason,
  string
>;
