/** Which entry a machine gets: pure. */
import { ANNOTATION } from '../../apis/infrastructure/group.ts';
import { keyOf } from '../../apis/meta.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { identityOf, identityOfEntry } from './identity.ts';
import { type EntryCache, type MachineCache, type Obstacle, obstacle } from './indexes.ts';

export interface Wanted {
  namespace: string;
  pool: string;
  /** Only entries of this failure domain. */
  failureDomain?: string | undefined;
  /** Only the entry of this host: a machine that names a pool and an address. */
  identity?: string | undefined;
}

export interface View {
  entries: EntryCache;
  machines: MachineCache;
  /** UID of the machine that this process is binding the entry to at this moment. */
  assumed(entryKey: string): string | undefined;
  /** When the host of the entry could last not be reached, in ms of any steady clock; 0: not known to be unreachable. */
  unreachableSince(entry: PooledRemoteMachine): number;
}

/** Objects with one identity mean one host: the one in use is served, else the oldest, then by name. */
export function servedBefore(a: PooledRemoteMachine, b: PooledRemoteMachine): number {
  const used = Number(b.status?.reserved === true) - Number(a.status?.reserved === true);
  return used || a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) || keyOf(a).localeCompare(keyOf(b));
}

/** The entry that is served in place of `entry`, if it is a duplicate of one. */
export function duplicateOf(entry: PooledRemoteMachine, entries: EntryCache): PooledRemoteMachine | undefined {
  const identity = identityOfEntry(entry);
  if (identity === undefined) return undefined;
  const same = entries.byIndex('identity', identity);
  if (same.length < 2) return undefined;
  const [served] = same.toSorted(servedBefore);
  return served === undefined || served.metadata.uid === entry.metadata.uid ? undefined : served;
}

/** The live machine other than `self` that has the entry or its host: by annotation, or by naming the same host. */
export function machineOn(entry: PooledRemoteMachine, machines: MachineCache, self?: RemoteMachine): RemoteMachine | undefined {
  const identity = identityOfEntry(entry);
  const others = [...machines.byIndex('entry', keyOf(entry)), ...(identity === undefined ? [] : machines.byIndex('identity', identity))];
  return others.find((machine) => machine.metadata.uid !== self?.metadata.uid);
}

/** What keeps `entry` from `self`, or undefined. */
export function obstacleFor(entry: PooledRemoteMachine, self: RemoteMachine, view: View): Obstacle | 'taken' | undefined {
  const own = obstacle(entry);
  if (own !== undefined) return own;
  if (duplicateOf(entry, view.entries) !== undefined) return 'duplicate';
  const assumed = view.assumed(keyOf(entry));
  if (assumed !== undefined && assumed !== self.metadata.uid) return 'taken';
  return machineOn(entry, view.machines, self) === undefined ? undefined : 'taken';
}

export type Choice =
  { entry: PooledRemoteMachine } | { entry: undefined; reason: 'NoSuchPool' | 'AddressNotInPool' | 'WaitingForHost'; message: string };

/**
 * The first free entry by name (people and control planes rely on the order) that fits; entries whose host could not be
 * reached come last, the one that failed longest ago first.
 */
export function choose(wanted: Wanted, self: RemoteMachine, view: View): Choice {
  const poolKey = `${wanted.namespace}/${wanted.pool}`;
  const fits = (entry: PooledRemoteMachine): boolean =>
    (wanted.failureDomain === undefined || entry.spec?.failureDomain === wanted.failureDomain) &&
    (wanted.identity === undefined || identityOfEntry(entry) === wanted.identity);
  let best: PooledRemoteMachine | undefined;
  for (const entry of view.entries.byIndex('free', poolKey)) {
    if (!fits(entry) || obstacleFor(entry, self, view) !== undefined) continue;
    if (view.unreachableSince(entry) === 0) return { entry };
    if (best === undefined || view.unreachableSince(entry) < view.unreachableSince(best)) best = entry;
  }
  return best === undefined ? { entry: undefined, ...explain(wanted, self, view) } : { entry: best };
}

/** Why there is none, in words: only read where a machine is going to wait. */
function explain(
  wanted: Wanted,
  self: RemoteMachine,
  view: View,
): { reason: 'NoSuchPool' | 'AddressNotInPool' | 'WaitingForHost'; message: string } {
  const pool = `pool "${wanted.pool}" of namespace ${wanted.namespace}`;
  const entries = view.entries.byIndex('pool', `${wanted.namespace}/${wanted.pool}`);
  if (entries.length === 0) return { reason: 'NoSuchPool', message: `No PooledRemoteMachine belongs to ${pool}; waiting for one` };
  if (wanted.identity !== undefined && !entries.some((entry) => identityOfEntry(entry) === wanted.identity)) {
    return { reason: 'AddressNotInPool', message: `spec.address is ${wanted.identity}, and no PooledRemoteMachine of ${pool} has it` };
  }
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const otherDomain = wanted.failureDomain !== undefined && entry.spec?.failureDomain !== wanted.failureDomain;
    const why = otherDomain ? 'in another failure domain' : (obstacleFor(entry, self, view) ?? 'with another address');
    counts.set(why, (counts.get(why) ?? 0) + 1);
  }
  const held = [...counts].map(([why, count]) => `${count} ${why}`).join(', ');
  const domain = wanted.failureDomain === undefined ? '' : ` in failure domain "${wanted.failureDomain}"`;
  return { reason: 'WaitingForHost', message: `Waiting for a free host${domain} of ${pool}: ${entries.length} in it, ${held}` };
}

/** The host that a machine which names a pool asks for by its address. Once it names an entry, its address may as well be that entry's. */
export function wantedIdentity({ metadata: { annotations }, spec }: RemoteMachine): string | undefined {
  if (annotations?.[ANNOTATION.poolEntry] !== undefined) return annotations[ANNOTATION.requestedHost];
  return spec?.address === undefined ? undefined : identityOf({ ...spec, address: spec.address });
}
