/** Everything that runs over SSH: one task an object, under a key from which its controller is found again. */
import type { BackgroundTasks } from '../../framework/background.ts';
import type { Request } from '../../framework/types.ts';
import { endpointOf, identityOf } from '../../pool/identity.ts';
import type { HostSpec } from './access.ts';
import type { BootstrapOutcome, Progress, ReclaimOutcome } from '../../runner/execution.ts';

export type HostOutcome = { work: 'bootstrap'; outcome: BootstrapOutcome } | { work: 'clean'; outcome: ReclaimOutcome };
export type HostTasks = BackgroundTasks<Progress, HostOutcome>;

export type TaskOwner = 'machine' | 'entry';

/** The UID is in it, so that an object that was deleted and made anew under the same name has nothing of the old one. */
export const taskKey = (owner: TaskOwner, { metadata }: { metadata: { namespace?: string; name: string; uid: string } }): string =>
  [owner, metadata.namespace ?? '', metadata.name, metadata.uid].join('/');

/** Slots that work on a host takes: one of all, one of the host, one of each bastion. */
export function limitsOf(spec: HostSpec): string[] {
  const bastions = (spec.bastions ?? []).map((bastion) => `bastion/${endpointOf(bastion)}`);
  return ['total', `host/${identityOf(spec)}`, ...bastions];
}

export function ownerOfTask(key: string): { owner: TaskOwner; request: Request } {
  const [owner = '', namespace = '', name = ''] = key.split('/');
  return { owner: owner as TaskOwner, request: { namespace, name } };
}
