/** What an entry says: conditions, and an Event for each that turns for the worse. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { getCondition } from '../../framework/conditions.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import type { EntryDeps } from './deps.ts';

/** Writes what changed of it. Rejects with ApiError. */
export async function tell(deps: EntryDeps, entry: PooledRemoteMachine, ...marks: EntryMark[]): Promise<PooledRemoteMachine> {
  const marked = await deps.allocator.mark(entry, { marks: [notPaused, ...marks] });
  for (const { type, status, reason, message } of marks) {
    const before = getCondition(entry.status?.conditions, type);
    const isNews = before?.status !== status || before.reason !== reason;
    // Progress is no fault.
    if (status !== 'True' && isNews && reason !== REASON.CleaningUp) deps.events.event(marked, 'Warning', reason, type, message);
  }
  return marked;
}

const notPaused: EntryMark = { type: CONDITION.Paused, status: 'False', reason: REASON.NotPaused, message: 'Not paused' };

export const reachable: EntryMark = {
  type: CONDITION.Reachable,
  status: 'True',
  reason: REASON.Reachable,
  message: 'The last contact succeeded',
};

export const notReachable = ({ reason, message }: { reason: Reason; message: string }): EntryMark => ({
  type: CONDITION.Reachable,
  status: 'False',
  reason,
  message,
});

export const clean = (status: EntryMark['status'], reason: Reason, message: string): EntryMark => ({
  type: CONDITION.Clean,
  status,
  reason,
  message,
});
