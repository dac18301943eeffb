/** What an API server refuses keeps a machine waiting as anything else does, so it is told by the condition that it keeps from being True. */
import type { ConditionType } from '../../../apis/infrastructure/conditions.ts';
import { ApiError, isConflict, isNotFound } from '../../framework/types.ts';
import { failureOf } from '../hosts/failure.ts';
import type { MachineScope } from './scope.ts';

/** Not what only says to read again. */
export const isRefusal = (error: unknown): boolean => error instanceof ApiError && !isConflict(error) && !isNotFound(error);

/** Rejects as the phase does. */
export async function telling<T>(scope: MachineScope, type: ConditionType, phase: () => Promise<T>): Promise<T> {
  try {
    return await phase();
  } catch (error) {
    if (isRefusal(error)) tell(scope, type, failureOf(error));
    throw error;
  }
}

/** Ready does not fall for what a provisioned machine waits for. */
function tell(scope: MachineScope, type: ConditionType, failure: ReturnType<typeof failureOf>): void {
  if (scope.machine.spec?.providerID !== undefined && !scope.deleting) scope.mark(type, 'Unknown', failure.reason, failure.message);
  else scope.fail(type, failure);
}
