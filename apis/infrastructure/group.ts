/** Names that the API group, its annotations and its finalizers are made of. */
export const GROUP = 'infrastructure.cluster.x-k8s.io';
export const STORAGE_VERSION = 'v1beta2';
export const SERVED_VERSIONS = ['v1beta1', 'v1beta2'] as const;

/** Holds a RemoteMachine until its host is cleaned and given back. */
export const MACHINE_FINALIZER = `remotemachine.${GROUP}/finalizer`;
/** k0smotron's finalizer on objects that are taken over from it; removed together with ours. */
export const PEER_MACHINE_FINALIZER = 'remotemachine.k0smotron.io/finalizer';
/** Holds a PooledRemoteMachine while it is reserved (as kubernetes.io/pvc-protection holds a volume claim in use). */
export const ENTRY_FINALIZER = `pooledremotemachine.${GROUP}/in-use`;

/** Annotations that the operator writes; they survive clusterctl move and a restored backup, unlike status. */
export const ANNOTATION = {
  /** RemoteMachine: name of the PooledRemoteMachine (same namespace) that it is bound to. */
  poolEntry: `${GROUP}/pool-entry`,
  /** RemoteMachine that named pool and address: the host that it asked for. The address in its spec may as well be its entry's. */
  requestedHost: `${GROUP}/requested-host`,
  /**
   * RemoteMachine: ID of the run that bootstraps it; the host's claim carries the same. Entry, while a machine has it: that one's run,
   * which a move or a restored backup leaves where status and UIDs are lost. See ADOPTED.
   */
  runID: `${GROUP}/run-id`,
  /** RemoteMachine and entry: the SSH host key pinned at first contact, in OpenSSH's public key form. */
  hostKey: `${GROUP}/host-key`,
  /** Entry: ID of the run whose host could not be cleaned: it is not handed out although no machine has it. See ADOPTED. */
  quarantined: `${GROUP}/quarantined`,
  /**
   * Entry: run ID, or UID of a machine, that a person gave up with release=force. Its claim on the host gives way to the next machine's, whatever
   * runs under it.
   */
  abandonedRun: `${GROUP}/abandoned-run`,
  /** RemoteMachine, while it is deleted: another operator bootstrapped it, and the run ID was made for its cleanup. */
  adopted: `${GROUP}/adopted`,
} as const;

/** Begins an entry's `run-id` and `quarantined` where another operator bootstrapped the host: there no claim says nothing. */
export const ADOPTED = 'adopted/';

/** Annotations that people write. */
export const REQUEST = {
  /** SHA256 fingerprint of the new host key to accept. */
  acceptHostKey: `${GROUP}/accept-host-key`,
  /** ID of a failed run: clean the host and run the bootstrap again. */
  retry: `${GROUP}/retry`,
  /** `force`: give a quarantined entry back to its pool without a confirmed cleanup. */
  release: `${GROUP}/release`,
  /** Go duration after deletionTimestamp when a machine is let go without a confirmed cleanup; 0 is never. */
  cleanupDeadline: `${GROUP}/cleanup-deadline`,
  /** Go duration that this machine's bootstrap may take. */
  bootstrapTimeout: `${GROUP}/bootstrap-timeout`,
} as const;
