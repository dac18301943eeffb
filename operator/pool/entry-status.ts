/** The status of an entry as a merge patch: one function a condition, Ready as their summary. */
import { CONDITION, type ConditionType, REASON, type Reason } from '../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine } from '../../apis/infrastructure/kinds.ts';
import type { Condition, HostFacts } from '../../apis/infrastructure/status.ts';
import { isUnsettled } from './indexes.ts';
import { clip, getCondition, setCondition } from '../framework/conditions.ts';

type EntryState = NonNullable<PooledRemoteMachine['status']>;

/** A condition to set on an entry. */
export interface EntryMark {
  type: ConditionType;
  status: Condition['status'];
  reason: Reason;
  message: string;
}

export interface EntryChange {
  reserved?: boolean;
  machineRef?: EntryState['machineRef'];
  host?: HostFacts;
  marks: EntryMark[];
}

/** Longest message of a condition: room for a few lines of output, far under the API's limit. */
export const MESSAGE_LIMIT = 2048;

/** The whole new status, as a merge patch: a null machineRef removes it. */
export function entryStatus(entry: PooledRemoteMachine, change: EntryChange, now: Date): object {
  const known = change.reserved ?? entry.status?.reserved;
  const reserved = known ?? false;
  const ref = change.machineRef ?? entry.status?.machineRef;
  // k0smotron's provider leaves an empty reference to nobody.
  const machineRef = change.reserved === false || ref?.name === '' ? undefined : ref;
  const observedGeneration = entry.metadata.generation;
  let conditions = entry.status?.conditions ?? [];
  const mark = ({ type, status, reason, message }: EntryMark): void => {
    const generation = observedGeneration === undefined ? {} : { observedGeneration };
    conditions = setCondition(conditions, { type, status, reason, message: clip(message, MESSAGE_LIMIT), ...generation }, now);
  };
  for (const m of defaults(conditions)) mark(m);
  for (const m of change.marks) if (m.type !== CONDITION.Ready) mark(m);
  const own = change.marks.find(({ type }) => type === CONDITION.Ready) ?? getCondition(conditions, CONDITION.Ready);
  mark(summary(conditions, reserved, machineRef?.name, own));
  const host = change.host ?? entry.status?.host;
  return {
    ...((known !== undefined || !isUnsettled(entry)) && { reserved }),
    machineRef: machineRef ?? null,
    ...(host && { host }),
    conditions,
  };
}

/** What holds before anything is known. */
function defaults(conditions: readonly Condition[]): EntryMark[] {
  const unset: EntryMark[] = [
    { type: CONDITION.Reachable, status: 'Unknown', reason: REASON.NotContacted, message: 'Nothing has connected to the host yet' },
    { type: CONDITION.Clean, status: 'True', reason: REASON.NeverClaimed, message: 'No machine has had the host' },
  ];
  return unset.filter(({ type }) => getCondition(conditions, type) === undefined);
}

/** Ready: it serves its machine or can be handed out. The first thing that is in the way is the reason. */
function summary(
  conditions: readonly Condition[],
  reserved: boolean,
  machine: string | undefined,
  own: Pick<Condition, 'status' | 'reason' | 'message'> | undefined,
): EntryMark {
  const clean = getCondition(conditions, CONDITION.Clean);
  const ready = (status: Condition['status'], reason: Reason, message: string): EntryMark => ({
    type: CONDITION.Ready,
    status,
    reason,
    message,
  });
  if (clean?.status === 'False') return ready('False', REASON.Quarantined, clean.message);
  if (clean?.status === 'Unknown') return ready('Unknown', clean.reason as Reason, clean.message);
  if (own?.reason === REASON.DuplicateHost && own.status === 'False' && !reserved) return ready('False', REASON.DuplicateHost, own.message);
  if (reserved) return ready('True', REASON.Reserved, `Serves RemoteMachine ${machine ?? '?'}`);
  const reachable = getCondition(conditions, CONDITION.Reachable);
  if (reachable?.status === 'False') return ready('False', reachable.reason as Reason, reachable.message);
  return ready('True', REASON.Available, 'Free');
}
