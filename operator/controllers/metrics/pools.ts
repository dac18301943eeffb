/** Metrics of pools: how many of the entries of each are how. */
import { Gauge, type Registry } from 'prom-client';
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { getCondition } from '../../framework/conditions.ts';
import { countByState } from '../../framework/tally.ts';
import type { ChangeHandler } from '../../framework/types.ts';
import { obstacle } from '../../pool/indexes.ts';
import { isWatched } from '../remotemachine/owner.ts';

export const ENTRY_STATES = ['free', 'unreachable', 'reserved', 'quarantined', 'unavailable'] as const;
export type EntryState = (typeof ENTRY_STATES)[number];

/** Each entry is in one state: what keeps it longest from other machines goes first. */
export function stateOf(entry: PooledRemoteMachine): EntryState {
  const conditions = entry.status?.conditions;
  if (entry.metadata.annotations?.[ANNOTATION.quarantined] !== undefined) return 'quarantined';
  if (entry.status?.reserved === true) return 'reserved';
  const why = obstacle(entry);
  if (why === 'quarantined') return 'quarantined';
  if (why !== undefined || getCondition(conditions, CONDITION.Ready)?.reason === REASON.DuplicateHost) return 'unavailable';
  return getCondition(conditions, CONDITION.Reachable)?.status === 'False' ? 'unreachable' : 'free';
}

/** Returns what is to be told of every change of an entry. */
export function poolMetrics(registry: Registry, watchFilter?: string): ChangeHandler<PooledRemoteMachine> {
  const gauge = new Gauge({
    name: 'capremote_pool_entries',
    help: 'Entries of a pool by state; their sum is the size of the pool. free: can be handed out. unreachable: could be, but its host did not answer last. reserved: a machine has it. quarantined: its host may be dirty. unavailable: paused, deleted, restored without its status, or a duplicate.',
    labelNames: ['namespace', 'pool', 'state'],
    registers: [registry],
  });
  return countByState(gauge, { label: 'state', states: ENTRY_STATES }, (entry) => {
    if (entry.spec === undefined || !isWatched(entry.metadata, watchFilter)) return undefined;
    return { namespace: entry.metadata.namespace ?? '', pool: entry.spec.pool, state: stateOf(entry) };
  });
}
