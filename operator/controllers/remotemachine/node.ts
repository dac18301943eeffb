/** Phase: the workload cluster's Node gets the machine's provider ID, by which Cluster API finds it. */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import type { Result } from '../../framework/types.ts';
import type { MachineDeps } from './deps.ts';
import { clusterNameOf } from './owner.ts';
import type { MachineScope } from './scope.ts';
import { problemOf } from './workload-nodes.ts';

export async function setNodeProviderID(deps: MachineDeps, scope: MachineScope): Promise<Result> {
  const providerID = scope.machine.spec?.providerID;
  const clusterName = clusterNameOf(scope.machine, scope.owner);
  if (providerID === undefined || clusterName === undefined) return {};
  const done = (node: string): Result => {
    deps.nodes.leave(scope.key);
    scope.mark(CONDITION.NodeProviderIDSet, 'True', REASON.NodeProviderIDSet, `Node ${node} has the provider ID`);
    return {};
  };
  // Whoever set it: Cluster API found the Node by it.
  const found = scope.owner?.status?.nodeRef?.name;
  if (found !== undefined) return done(found);
  if (scope.condition(CONDITION.NodeProviderIDSet)?.status === 'True') return {};
  if (scope.owner === undefined) {
    deps.nodes.leave(scope.key);
    return {};
  }
  const { host, addresses } = scope.status;
  const identity = {
    machineID: host?.machineID,
    hostname: host?.hostname,
    addresses: (addresses ?? []).map(({ address }) => address),
    providerID,
  };
  const state = await deps.nodes.observe(scope.name, clusterName, identity).catch((error: unknown) => {
    const { reason, message } = problemOf(error);
    scope.mark(CONDITION.NodeProviderIDSet, 'Unknown', reason, message);
    throw error;
  });
  if (state.kind === 'set') return done(state.node);
  scope.mark(CONDITION.NodeProviderIDSet, 'Unknown', state.reason, state.message);
  return {};
}
