/** Which host keys an object trusts where its spec names none: the one pinned at first contact, and one that a person accepts. */
import type { ConnectionSpec } from '../../apis/infrastructure/connection.ts';
import { ANNOTATION, REQUEST } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { fingerprintOf } from '../ssh/host-keys.ts';

/** Both kinds carry the same annotations. */
export type Pinnable = Pick<RemoteMachine | PooledRemoteMachine, 'metadata' | 'status'>;

export interface Trust {
  /** Public keys or fingerprints; a machine's own pin comes before its entry's. */
  pinned: string[];
  /** What people wrote into accept-host-key. */
  accepted: string[];
}

export function trustOf(machine: Pinnable | undefined, entry: Pinnable | undefined): Trust {
  const pin = (object: Pinnable | undefined): string | undefined =>
    object?.metadata.annotations?.[ANNOTATION.hostKey] ?? object?.status?.host?.hostKey;
  const accepted = [machine, entry].map((object) => object?.metadata.annotations?.[REQUEST.acceptHostKey]);
  return { pinned: given([pin(machine) ?? pin(entry)]), accepted: given(accepted) };
}

const given = (keys: (string | undefined)[]): string[] => keys.filter((key): key is string => key !== undefined && key.trim() !== '');

/** Whether the key seen at first contact counts: the spec itself names none. */
export const pinsHostKey = (spec: Pick<ConnectionSpec, 'hostKeys' | 'knownHostsRef'>): boolean =>
  (spec.hostKeys?.length ?? 0) === 0 && spec.knownHostsRef === undefined;

/** Whether a person has accepted this key on the object. */
export function accepts(object: Pinnable | undefined, publicKey: string): boolean {
  const accepted = object?.metadata.annotations?.[REQUEST.acceptHostKey];
  return accepted !== undefined && fingerprintOf(accepted) === fingerprintOf(publicKey);
}

/** Whether an annotation pins this key; the status tells of the last contact only. */
export function isPinned(object: Pinnable | undefined, publicKey: string): boolean {
  const pin = object?.metadata.annotations?.[ANNOTATION.hostKey];
  return pin !== undefined && fingerprintOf(pin) === fingerprintOf(publicKey);
}

/** Annotations (merge patch) that pin the key in place of an earlier one and use up its acceptance; undefined: nothing changes. */
export function pinPatch(object: Pinnable, publicKey: string): Record<string, string | null> | undefined {
  const pin = object.metadata.annotations?.[ANNOTATION.hostKey] !== publicKey;
  const used = accepts(object, publicKey);
  if (!pin && !used) return undefined;
  return { ...(pin && { [ANNOTATION.hostKey]: publicKey }), ...(used && { [REQUEST.acceptHostKey]: null }) };
}
