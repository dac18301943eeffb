/** Phase: a person gives an entry back without a confirmed cleanup. */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { ADOPTED, ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { keyOf } from '../../../apis/meta.ts';
import { taskKey } from '../hosts/tasks.ts';
import type { EntryDeps } from './deps.ts';
import { serves } from './presence.ts';
import { clean } from './status.ts';

/**
 * The claim on the host is left to the next machine, which is told whose it may replace. The request goes in the last of three writes,
 * each of which may be made again, so that it is honoured once and wholly. Rejects with ApiError.
 */
export async function forceRelease(deps: EntryDeps, entry: PooledRemoteMachine, signal: AbortSignal): Promise<void> {
  const { annotations, resourceVersion } = entry.metadata;
  const ref = entry.status?.machineRef;
  const patch = (changed: Record<string, string | null>): Promise<PooledRemoteMachine> => {
    const name = { namespace: entry.metadata.namespace ?? '', name: entry.metadata.name };
    return deps.client.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, name, { metadata: { resourceVersion, annotations: changed } });
  };
  const [machine] = deps.machines.byIndex('entry', keyOf(entry));
  if (machine !== undefined || (await serves(deps, entry, signal))) {
    await patch({ [REQUEST.release]: null });
    const holder = machine === undefined ? `${ref?.namespace ?? ''}/${ref?.name ?? ''}` : keyOf(machine);
    const note = `Not released: RemoteMachine ${holder} has the host. Delete that one`;
    deps.events.event(entry, 'Warning', REASON.Reserved, CONDITION.Clean, note);
    return;
  }
  await deps.tasks.abort(taskKey('entry', entry));
  const named = [ANNOTATION.quarantined, ANNOTATION.runID].map((key) => annotations?.[key]?.replace(ADOPTED, ''));
  const run = named.find(Boolean) ?? ref?.uid;
  const isNoted = run === undefined || annotations?.[ANNOTATION.abandonedRun] === run;
  const noted = isNoted ? entry : await patch({ [ANNOTATION.abandonedRun]: run });
  const message = 'Given back by a person without a confirmed cleanup';
  await deps.allocator.free(noted, [clean('True', REASON.ReleaseForced, message)], { annotations: { [REQUEST.release]: null } });
  deps.events.event(entry, 'Normal', REASON.ReleaseForced, CONDITION.Clean, message);
}
