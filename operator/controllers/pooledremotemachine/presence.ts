/** Whether an entry's machine is there, asked of the API server: a cache may be behind, and a cleanup would end what runs. */
import type { Cluster } from '../../../apis/cluster/types.ts';
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { find } from '../hosts/presence.ts';
import type { EntryDeps } from './deps.ts';

/** Whether the machine that the status names is there and has not gone on to another entry. Rejects with ApiError. */
export async function serves({ client }: EntryDeps, { metadata, status }: PooledRemoteMachine, signal: AbortSignal): Promise<boolean> {
  const ref = status?.machineRef;
  const machine = ref && (await find<RemoteMachine>(client, REMOTE_MACHINES, ref, signal));
  if (machine === undefined) return false;
  const bound = machine.metadata.annotations?.[ANNOTATION.poolEntry];
  return (ref?.uid ?? machine.metadata.uid) === machine.metadata.uid && (bound === undefined || bound === metadata.name);
}

/** Whether the Cluster of an absent machine is paused, or gone, too. Rejects with ApiError. */
export async function isHeld(deps: EntryDeps, { metadata, status }: PooledRemoteMachine, signal: AbortSignal): Promise<boolean> {
  const { machineRef, reserved } = status ?? {};
  if (reserved !== true || machineRef?.clusterName === undefined || metadata.annotations?.[ANNOTATION.quarantined] !== undefined)
    return false;
  const name = { namespace: machineRef.namespace, name: machineRef.clusterName };
  const cluster = await find<Cluster>(deps.client, deps.clusterResource, name, signal);
  return cluster === undefined || cluster.spec?.paused === true;
}
