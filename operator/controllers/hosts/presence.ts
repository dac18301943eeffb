/** Whether objects are there, asked of the API server: a cache may be behind. */
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { KubernetesObject } from '../../../apis/meta.ts';
import { type Client, isNotFound, type ObjectName, type Resource } from '../../framework/types.ts';
import type { IsGone } from '../../runner/execution.ts';

/** Undefined: there is no such object. Rejects with ApiError. */
export async function find<T extends KubernetesObject>(
  client: Client,
  resource: Resource,
  name: ObjectName,
  signal?: AbortSignal,
): Promise<T | undefined> {
  try {
    return await client.get<T>(resource, name, signal);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Whether no machine has the run: one that was moved or restored has it under another UID. Rejects with ApiError. */
export const isRunGone =
  (client: Client): IsGone =>
  async ({ runID, machine: { namespace, name } }, signal) => {
    const machine = await find<RemoteMachine>(client, REMOTE_MACHINES, { namespace, name }, signal);
    return machine?.metadata.annotations?.[ANNOTATION.runID] !== runID;
  };
