/** Which Node of the workload cluster is a host: pure. */
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { Node } from '../../../apis/meta.ts';

/** What is known of a host. */
export interface HostIdentity {
  machineID: string | undefined;
  hostname: string | undefined;
  addresses: string[];
  providerID: string;
}

export type NodeMatch =
  | { kind: 'set'; node: Node }
  /** The one Node that lacks the provider ID. */
  | { kind: 'patch'; node: Node }
  | { kind: 'none'; reason: Reason; message: string };

/** By machine-id; if none or several have it, by hostname among those; then by address. Cloned hosts share a machine-id. */
export function matchNode(nodes: readonly Node[], host: HostIdentity): NodeMatch {
  const named = nodes.find((node) => node.spec?.providerID === host.providerID);
  if (named !== undefined) return { kind: 'set', node: named };
  const candidates = narrow(nodes, host);
  const [node] = candidates;
  if (node === undefined)
    return { kind: 'none', reason: REASON.WaitingForNode, message: 'No Node of the workload cluster is this host yet' };
  if (candidates.length > 1) {
    const names = candidates.map(({ metadata }) => metadata.name).join(', ');
    return { kind: 'none', reason: REASON.NodeAmbiguous, message: `Several Nodes could be this host: ${names}` };
  }
  const other = node.spec?.providerID;
  if (other !== undefined && other !== '') {
    const message = `Node ${node.metadata.name} already has the provider ID ${other}, which can't be changed`;
    return { kind: 'none', reason: REASON.NodeHasOtherProviderID, message };
  }
  return { kind: 'patch', node };
}

function narrow(nodes: readonly Node[], host: HostIdentity): readonly Node[] {
  const addressOf = (node: Node): boolean => node.status?.addresses?.some(({ address }) => host.addresses.includes(address)) === true;
  const hostnameOf = (node: Node): boolean =>
    host.hostname !== undefined &&
    (node.metadata.name === host.hostname ||
      node.status?.addresses?.some(({ type, address }) => type === 'Hostname' && address === host.hostname) === true);
  const machineIDOf = (node: Node): boolean => host.machineID !== undefined && node.status?.nodeInfo?.machineID === host.machineID;
  let among = nodes;
  for (const test of [machineIDOf, hostnameOf, addressOf]) {
    const found = among.filter(test);
    if (found.length === 1) return found;
    if (found.length > 1) among = found;
  }
  return among === nodes ? [] : among;
}
