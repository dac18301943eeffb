/** The host's key after contact: pinned on the machine and its entry, in place of an earlier one that a person gave up for it. */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { accepts, isPinned, pinPatch, pinsHostKey } from '../../pool/host-key-pins.ts';
import type { HostKey } from '../../ssh/types.ts';
import { hostSpecOf } from '../hosts/access.ts';
import type { MachineDeps } from './deps.ts';
import type { MachineScope } from './scope.ts';

/** What else goes into the write that pins. */
export interface Along {
  annotations?: Record<string, string | null>;
  spec?: object;
}

/** Whether a person has accepted this key and the acceptance is still to be used up. */
export function isAccepted({ machine, entry }: MachineScope, { publicKey }: HostKey): boolean {
  return accepts(machine, publicKey) || accepts(entry, publicKey);
}

/** As isAccepted, where the key is then pinned in place of the old one. */
export const replacesPin = (scope: MachineScope, hostKey: HostKey): boolean =>
  isAccepted(scope, hostKey) && pinsHostKey(hostSpecOf(scope.machine.spec, scope.entry) ?? {});

/**
 * One guarded write on the machine, and one on its entry where a person accepted the key: from then on the old key is refused. Where the
 * spec names host keys nothing is pinned, and an acceptance stays until the spec names the key. Rejects with ApiError.
 */
export async function pinHostKey(deps: MachineDeps, scope: MachineScope, hostKey: HostKey, along: Along = {}): Promise<void> {
  const { machine, entry } = scope;
  const pins = pinsHostKey(hostSpecOf(machine.spec, entry) ?? {});
  const accepted = isAccepted(scope, hostKey);
  const known = isPinned(machine, hostKey.publicKey) || isPinned(entry, hostKey.publicKey);
  const annotations = { ...(pins && pinPatch(machine, hostKey.publicKey)), ...along.annotations };
  if (Object.keys(annotations).length > 0 || along.spec !== undefined) {
    const metadata = { resourceVersion: machine.metadata.resourceVersion, annotations };
    const body = { metadata, ...(along.spec && { spec: along.spec }) };
    scope.machine = await deps.client.patch<RemoteMachine>(REMOTE_MACHINES, scope.name, body);
  }
  if (accepted && pins && entry !== undefined) scope.entry = await deps.allocator.settle(entry, { hostKey: hostKey.publicKey });
  const key = `${hostKey.fingerprint} (${hostKey.type})`;
  const tell = (reason: 'HostKeyAccepted' | 'HostKeyPinned', note: string): void =>
    deps.events.event(scope.machine, 'Normal', REASON[reason], CONDITION.HostReachable, note);
  if (accepted) tell('HostKeyAccepted', `The host key ${key} was accepted${pins ? ' and pinned' : '; name it in the spec, too'}`);
  else if (pins && !known) tell('HostKeyPinned', `The host key ${key}, seen at first contact, was pinned`);
}
