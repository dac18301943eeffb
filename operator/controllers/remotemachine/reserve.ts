/** Phase: the machine gets its host. */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { hostTopic, poolTopic, type WaitingList } from '../../pool/waiting.ts';
import { wantedIdentity } from '../../pool/choose.ts';
import { endpointOf, identityOfMachine } from '../../pool/identity.ts';
import type { Result } from '../../framework/types.ts';
import type { MachineDeps } from './deps.ts';
import { clusterNameOf } from './owner.ts';
import type { MachineScope } from './scope.ts';

export async function reserve(deps: MachineDeps, waiting: WaitingList, scope: MachineScope): Promise<Result | undefined> {
  const { spec } = scope.machine;
  if (spec?.provisionJob !== undefined && spec.providerID === undefined) {
    const message = 'spec.provisionJob is not supported: remove it, and name the SSH key in spec.sshKeyRef';
    scope.fail(CONDITION.HostReserved, { reason: REASON.ProvisionJobNotSupported, message, terminal: true });
    return {};
  }
  const failureDomain = scope.owner?.spec?.failureDomain;
  const startRun = scope.owner?.spec?.bootstrap.dataSecretName !== undefined;
  const options = { failureDomain, startRun, clusterName: clusterNameOf(scope.machine, scope.owner) };
  const reservation = await deps.allocator.reserve(scope.machine, options);
  const { namespace, name } = scope.name;
  if (reservation.kind === 'none') {
    const topic =
      reservation.reason === REASON.DuplicateHost
        ? hostTopic(identityOfMachine(scope.machine) ?? '')
        : poolTopic(namespace, spec?.pool ?? '');
    const { creationTimestamp: createdAt } = scope.machine.metadata;
    waiting.wait(topic, { request: { namespace, name }, createdAt, failureDomain, identity: wantedIdentity(scope.machine) });
    const { reason, message, terminal } = reservation;
    if (spec?.providerID !== undefined) {
      // What runs goes on running; Ready does not fall for it.
      scope.mark(CONDITION.HostReserved, 'False', reason, message);
      return undefined;
    }
    if (terminal) scope.fail(CONDITION.HostReserved, { reason, message, terminal });
    else scope.wait(CONDITION.HostReserved, reason, message);
    return {};
  }
  waiting.leave({ namespace, name });
  scope.machine = reservation.machine;
  scope.entry = reservation.entry;
  const host = reservation.entry?.spec?.machine ?? (spec?.address === undefined ? undefined : { ...spec, address: spec.address });
  const where = host === undefined ? '' : endpointOf(host);
  if (reservation.entry === undefined) scope.mark(CONDITION.HostReserved, 'True', REASON.AddressGiven, `The host is ${where}`);
  else
    scope.mark(
      CONDITION.HostReserved,
      'True',
      REASON.Reserved,
      `Has PooledRemoteMachine ${reservation.entry.metadata.name}, host ${where}`,
    );
  return undefined;
}
