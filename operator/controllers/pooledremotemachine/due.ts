/** Why an entry's host is to be looked at although no machine does it, or why it must not be touched: pure. */
import { type Cluster, DELETE_FOR_MOVE_ANNOTATION } from '../../../apis/cluster/types.ts';
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { ADOPTED, ANNOTATION } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { keyOf } from '../../../apis/meta.ts';
import { getCondition } from '../../framework/conditions.ts';
import type { Cache } from '../../framework/types.ts';
import { isUnsettled, type MachineCache } from '../../pool/indexes.ts';
import type { Claimant } from '../../runner/types.ts';

export interface Cleanup {
  kind: 'clean';
  /** Whose claim is to go from the host. */
  isOurs: (holder: Claimant) => boolean;
  /** Changes with what is to be cleaned. */
  id: string;
  /** Without a claim it is not known to be clean: another operator bootstrapped the host. */
  isAdopted: boolean;
}

export type Due =
  | Cleanup
  /** Nobody may touch it for now. */
  | { kind: 'hold'; reason: Reason; message: string };

/** Undefined: a machine sees to the host, or it is clean. */
export function dueOf(entry: PooledRemoteMachine, machines: MachineCache, clusters: Cache<Cluster>): Due | undefined {
  const { annotations, namespace = '' } = entry.metadata;
  if (annotations?.[DELETE_FOR_MOVE_ANNOTATION] !== undefined || machines.byIndex('entry', keyOf(entry)).length > 0) return undefined;
  const ref = entry.status?.reserved === true ? entry.status.machineRef : undefined;
  const noted = annotations?.[ANNOTATION.runID];
  const wasAdopted = noted?.startsWith(ADOPTED) === true;
  const quarantined = annotations?.[ANNOTATION.quarantined];
  if (quarantined !== undefined) {
    const isAdopted = quarantined.startsWith(ADOPTED);
    const runID = isAdopted ? quarantined.slice(ADOPTED.length) : quarantined;
    return { kind: 'clean', id: runID, isOurs: (holder) => holder.runID === runID || holder.machine.uid === ref?.uid, isAdopted };
  }
  if (ref !== undefined) {
    const machine = machines.get(ref.namespace, ref.name);
    const bound = machine?.metadata.annotations?.[ANNOTATION.poolEntry];
    // A machine that went on to another entry was cut off before it gave this one back.
    const isHere = bound === undefined || bound === entry.metadata.name;
    if (machine !== undefined && isHere && (ref.uid === undefined || machine.metadata.uid === ref.uid)) return undefined;
    const why = livesElsewhere(clusters, namespace, ref.clusterName);
    if (why !== undefined) {
      const message = `RemoteMachine ${ref.namespace}/${ref.name}, which has the host, is gone without having cleaned it, and ${why}: nothing is done to the host`;
      return { kind: 'hold', reason: REASON.MachineAbsent, message };
    }
    // Not by its name: a machine of another management cluster may have the same. By its run, as a claim has the UID from before a move;
    // but what it runs by another entry is no leftover.
    const isOurs = ({ runID, machine: of }: Claimant): boolean =>
      (of.uid === ref.uid || runID === noted) && (machine === undefined || runID !== machine.metadata.annotations?.[ANNOTATION.runID]);
    return { kind: 'clean', id: `machine ${ref.uid ?? ref.name}`, isOurs, isAdopted: ref.uid === undefined || wasAdopted };
  }
  if (isUnsettled(entry)) {
    const why = livesElsewhere(clusters, namespace, undefined);
    if (why === undefined) return { ...foreign(entry), isAdopted: wasAdopted };
    const message = `A machine had the host before the entry was moved or restored, no RemoteMachine names it yet, and ${why}: it is not handed out`;
    return { kind: 'hold', reason: REASON.ReservationUnknown, message };
  }
  return getCondition(entry.status?.conditions, CONDITION.Clean)?.status === 'False' ? foreign(entry) : undefined;
}

/** Somebody else's claim, which is waited out, unless it was given up. */
function foreign({ metadata: { annotations } }: PooledRemoteMachine): Cleanup {
  const abandoned = annotations?.[ANNOTATION.abandonedRun];
  const isOurs = ({ runID, machine }: Claimant): boolean => abandoned !== undefined && [runID, machine.uid].includes(abandoned);
  return { kind: 'clean', id: `foreign ${abandoned ?? ''}`.trim(), isOurs, isAdopted: false };
}

/**
 * Why a machine that is merely absent may live on in another management cluster: clusterctl move pauses a Cluster, deletes its machines,
 * and then, in any order, entries and Cluster; a restore brings back entries before anything else.
 */
function livesElsewhere(clusters: Cache<Cluster>, namespace: string, clusterName: string | undefined): string | undefined {
  const all = clusters.list(namespace);
  const paused = all.find(({ spec }) => spec?.paused === true);
  if (paused !== undefined) return `Cluster ${paused.metadata.name} is paused`;
  if (clusterName !== undefined && clusters.get(namespace, clusterName) === undefined) return `its Cluster ${clusterName} is gone, too`;
  return all.length === 0 ? `there is no Cluster in namespace ${namespace}` : undefined;
}
