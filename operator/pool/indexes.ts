/** What the caches of entries and machines are indexed by, so that no event walks the fleet. */
import { ANNOTATION, ENTRY_FINALIZER } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import type { Cache } from '../framework/types.ts';
import { identityOfEntry, identityOfMachine } from './identity.ts';

/** Whether it has no host and asks a pool for one. */
function asks({ metadata: { annotations }, spec }: RemoteMachine): boolean {
  const isBound = annotations?.[ANNOTATION.poolEntry] !== undefined || annotations?.[ANNOTATION.runID] !== undefined;
  return spec?.pool !== undefined && spec.providerID === undefined && !isBound;
}

const present = (value: string | undefined): string[] => (value === undefined ? [] : [value]);

/** Index functions for the cache of PooledRemoteMachines. */
export const ENTRY_INDEXES = {
  /** `namespace/pool`. */
  pool: (entry: PooledRemoteMachine): string[] =>
    entry.spec === undefined ? [] : [`${entry.metadata.namespace ?? ''}/${entry.spec.pool}`],
  /** `namespace/pool` of entries that nothing in their own object keeps from being handed out. */
  free: (entry: PooledRemoteMachine): string[] =>
    entry.spec === undefined || obstacle(entry) !== undefined ? [] : [`${entry.metadata.namespace ?? ''}/${entry.spec.pool}`],
  identity: (entry: PooledRemoteMachine): string[] => present(identityOfEntry(entry)),
  /** UID of the machine that the status names; its `namespace/name` where k0smotron's provider left no UID. */
  holder: ({ status }: PooledRemoteMachine): string[] => {
    const ref = status?.reserved === true ? status.machineRef : undefined;
    return ref === undefined ? [] : [ref.uid ?? `${ref.namespace}/${ref.name}`];
  },
};

/** Index functions for the cache of RemoteMachines. */
export const MACHINE_INDEXES = {
  /** `namespace/entry` that the machine is bound to. */
  entry: (machine: RemoteMachine): string[] => {
    const name = machine.metadata.annotations?.[ANNOTATION.poolEntry];
    return name === undefined ? [] : [`${machine.metadata.namespace ?? ''}/${name}`];
  },
  /** The host that it has, or names without a pool: one that asks a pool for a host by its address does not have it yet. */
  identity: (machine: RemoteMachine): string[] => (asks(machine) ? [] : present(identityOfMachine(machine))),
  /** `namespace/cluster` by the label that Cluster API sets. */
  cluster: (machine: RemoteMachine): string[] => {
    const cluster = machine.metadata.labels?.['cluster.x-k8s.io/cluster-name'];
    return cluster === undefined ? [] : [`${machine.metadata.namespace ?? ''}/${cluster}`];
  },
};

export type EntryCache = Cache<PooledRemoteMachine>;
export type MachineCache = Cache<RemoteMachine>;

/** Why an entry is not handed out, as far as the entry itself says. */
export type Obstacle = 'deleting' | 'paused' | 'reserved' | 'unsettled' | 'quarantined' | 'duplicate';

/** Whether a machine had it before a move or a restored backup took the status away; which one, nobody knows yet. */
export const isUnsettled = ({ metadata, status }: PooledRemoteMachine): boolean =>
  status?.reserved === undefined && metadata.finalizers?.includes(ENTRY_FINALIZER) === true;

export function obstacle(entry: PooledRemoteMachine): Obstacle | undefined {
  if (entry.metadata.deletionTimestamp !== undefined) return 'deleting';
  if (entry.metadata.annotations?.['cluster.x-k8s.io/paused'] !== undefined) return 'paused';
  if (entry.metadata.annotations?.[ANNOTATION.quarantined] !== undefined) return 'quarantined';
  if (entry.status?.reserved === true) return 'reserved';
  if (isUnsettled(entry)) return 'unsettled';
  if (entry.status?.conditions?.some((c) => c.type === 'Clean' && c.status === 'False') === true) return 'quarantined';
  return undefined;
}
