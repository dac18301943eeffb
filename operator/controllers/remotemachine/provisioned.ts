/** Phase: a machine whose bootstrap succeeded: what the contract reports, its entry and its Machine in line with it. No SSH. */
import { isIP } from 'node:net';
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { ADOPTED, ANNOTATION } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import type { MachineAddress } from '../../../apis/infrastructure/status.ts';
import { getCondition } from '../../framework/conditions.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import { inherited } from '../../pool/metadata.ts';
import { hostSpecOf } from '../hosts/access.ts';
import type { MachineDeps } from './deps.ts';
import type { MachineScope } from './scope.ts';

/** ExternalIP for addresses; a name is both, as Cluster API's consumers look for either. */
export function addressesOf(address: string): MachineAddress[] {
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) !== 0) return [{ type: 'ExternalIP', address: bare }];
  return [
    { type: 'Hostname', address: bare },
    { type: 'ExternalDNS', address: bare },
  ];
}

/** Fills the status as the contract has it; what a moved or restored machine lost is all in spec and annotations. */
export function reportProvisioned(scope: MachineScope): void {
  const spec = hostSpecOf(scope.machine.spec, scope.entry);
  const { providerID = '' } = scope.machine.spec ?? {};
  scope.status.ready = true;
  scope.status.initialization = { provisioned: true };
  if (spec !== undefined) scope.status.addresses = addressesOf(spec.address);
  const domain = scope.entry?.spec?.failureDomain;
  if (domain !== undefined) scope.status.failureDomain = domain;
  // Cut off between the provider ID and the status.
  if (scope.status.bootstrap !== undefined) scope.status.bootstrap.phase = 'Succeeded';
  const runID = scope.machine.metadata.annotations?.[ANNOTATION.runID];
  const by = runID === undefined ? 'Bootstrapped before this operator had the machine' : `Run ${runID} succeeded`;
  // What the end of the run said stays.
  if (scope.condition(CONDITION.BootstrapExecSucceeded)?.status !== 'True')
    scope.mark(CONDITION.BootstrapExecSucceeded, 'True', REASON.BootstrapSucceeded, by);
  scope.succeed(`Provisioned as ${providerID}`);
}

/** What kept an earlier attempt, or the look at a restored entry, from the host is over. */
export function inUse({ status }: PooledRemoteMachine): EntryMark[] {
  if (getCondition(status?.conditions, CONDITION.Clean)?.status === 'True') return [];
  return [{ type: CONDITION.Clean, status: 'True', reason: REASON.Reserved, message: 'In use by its machine' }];
}

/** Once the machine was reported ready, so that nobody waits for these writes: its entry and its Machine. */
export async function settle(deps: MachineDeps, scope: MachineScope): Promise<void> {
  if (scope.entry !== undefined) {
    const host = scope.machine.status?.host;
    const marks: EntryMark[] = [];
    // Another operator's machine was never asked for anything.
    if (scope.machine.metadata.annotations?.[ANNOTATION.runID] !== undefined)
      marks.push({ type: CONDITION.Reachable, status: 'True', reason: REASON.Reachable, message: 'The last contact succeeded' });
    marks.push(...inUse(scope.entry));
    const marked = await deps.allocator.mark(scope.entry, host === undefined ? { marks } : { marks, host });
    const { annotations } = scope.machine.metadata;
    await deps.allocator.settle(marked, { hostKey: annotations?.[ANNOTATION.hostKey], run: annotations?.[ANNOTATION.runID] ?? ADOPTED });
  }
  if (scope.entry !== undefined && scope.owner !== undefined) {
    const metadata = inherited(scope.entry.metadata, scope.owner.metadata);
    if (Object.keys(metadata).length > 0) {
      const ref = { namespace: scope.name.namespace, name: scope.owner.metadata.name };
      await deps.client.patch(deps.ownerResource, ref, { metadata });
    }
  }
}
