import { NAMESPACES } from '../../../apis/core.ts';
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { KubernetesObject } from '../../../apis/meta.ts';
import type { Client } from '../../framework/types.ts';
import { find } from './presence.ts';

/** Without a key, of which none is there. What an object that is there has wrong can be corrected until it goes. */
const KEYLESS: readonly Reason[] = [REASON.SecretNotFound, REASON.SSHKeyRefMissing];

/**
 * Whether what failed can't be mended any more: a Secret is missing, and its namespace is being deleted, so that nobody can make it
 * anew. Rejects with ApiError.
 */
export async function isLostWithNamespace(client: Client, namespace: string, { reason }: { reason: Reason }): Promise<boolean> {
  return KEYLESS.includes(reason) && (await isEnding(client, namespace));
}

/** Whether the namespace is being deleted, or gone. Rejects with ApiError. */
export async function isEnding(client: Client, namespace: string): Promise<boolean> {
  const found = await find<KubernetesObject>(client, NAMESPACES, { name: namespace });
  return found === undefined || found.metadata.deletionTimestamp !== undefined;
}
