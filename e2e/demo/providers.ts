/**
 * Plays the bootstrap and control plane providers of the samples (k0s and k0smotron), which are not installed: writes bootstrap data,
 * makes a control plane's machines, and registers Nodes as the kubelets would.
 */
import type { AnyObject, Client, Manifest } from '../env/client.ts';
import type { Environment } from '../env/environment.ts';
import { BOOTSTRAP, CONTROL_PLANE } from '../fixtures/k0s.ts';

const INFRASTRUCTURE = 'infrastructure.cluster.x-k8s.io/v1beta1';
const CLUSTER = 'cluster.x-k8s.io/v1beta1';
const NAMESPACE = 'default';

export const workerConfigs = { apiVersion: BOOTSTRAP, kind: 'K0sWorkerConfig', namespace: NAMESPACE };
const controlPlanes = { apiVersion: CONTROL_PLANE, kind: 'K0sControlPlane', namespace: NAMESPACE };
const hostedControlPlanes = { apiVersion: CONTROL_PLANE, kind: 'K0smotronControlPlane', namespace: NAMESPACE };
export const remoteMachines = { apiVersion: 'infrastructure.cluster.x-k8s.io/v1beta2', kind: 'RemoteMachine', namespace: NAMESPACE };

/** What a bootstrap provider would write: real work for the host that takes a few seconds. */
const bootstrapData = `#cloud-config
write_files:
- path: /etc/demo/greeting
  content: |
    This file came with the bootstrap data.
runcmd:
- sleep 3
- date > /etc/demo/bootstrapped
- mkdir -p /run/cluster-api && echo success > /run/cluster-api/bootstrap-success.complete
`;

/** Plays on until `signal` ends it; a failure ends everything. */
export async function playProviders(
  { client, controlPlane }: Environment,
  machineIDs: Map<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const each = async (kind: { apiVersion: string; kind: string; namespace: string }, play: (object: AnyObject) => Promise<void>) => {
    for await (const objects of client.observe(kind, signal)) for (const object of objects) await play(object);
  };
  await Promise.all([
    each(workerConfigs, (config) => bootstrap(client, config)),
    each(hostedControlPlanes, (plane) => initialize(client, plane, new URL(controlPlane.url))),
    each(controlPlanes, (plane) => makeMachines(client, plane)),
    each(remoteMachines, (machine) => registerNode(client, machine, machineIDs)),
  ]);
}

/** Once its Machine has it, a config gets its Secret. */
async function bootstrap(client: Client, config: AnyObject): Promise<void> {
  const { name, ownerReferences } = config.metadata;
  const owned = ownerReferences?.some(({ kind }) => kind === 'Machine') ?? false;
  if (!owned || config.status?.['dataSecretName'] !== undefined) return;
  await client.apply(bootstrapSecret(name));
  await client.patch({ ...workerConfigs, name }, { status: { ready: true, dataSecretName: name } }, 'status');
}

const bootstrapSecret = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: NAMESPACE, name },
  type: 'cluster.x-k8s.io/secret',
  stringData: { value: bootstrapData, format: 'cloud-config' },
});

/** The management cluster stands in for the workload cluster too. */
async function initialize(client: Client, plane: AnyObject, { hostname, port }: URL): Promise<void> {
  if (plane.status?.['ready'] === true) return;
  await client.patch(
    { ...hostedControlPlanes, name: plane.metadata.name },
    { spec: { controlPlaneEndpoint: { host: hostname, port: Number(port) } } },
  );
  const status = { ready: true, initialized: true, externalManagedControlPlane: true, version: plane.spec?.['version'] };
  await client.patch({ ...hostedControlPlanes, name: plane.metadata.name }, { status }, 'status');
}

/** A Machine and a RemoteMachine from the control plane's template for each replica. */
async function makeMachines(client: Client, plane: AnyObject): Promise<void> {
  const { replicas = 1, machineTemplate } = plane.spec as { replicas?: number; machineTemplate: { infrastructureRef: { name: string } } };
  const template = {
    apiVersion: INFRASTRUCTURE,
    kind: 'RemoteMachineTemplate',
    namespace: NAMESPACE,
    name: machineTemplate.infrastructureRef.name,
  };
  const { spec } = (await client.get(template)).spec?.['template'] as { spec: object };
  const cluster = { 'cluster.x-k8s.io/cluster-name': plane.metadata.name };
  for (let index = 0; index < replicas; index++) {
    const metadata = {
      namespace: NAMESPACE,
      name: `${plane.metadata.name}-control-plane-${index}`,
      labels: { ...cluster, 'cluster.x-k8s.io/control-plane': '' },
    };
    const { name } = metadata;
    if ((await client.find({ apiVersion: CLUSTER, kind: 'Machine', namespace: NAMESPACE, name })) !== undefined) continue;
    const infrastructureRef = { apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', name };
    await client.applyAll([
      bootstrapSecret(name),
      { apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', metadata, spec },
      {
        apiVersion: CLUSTER,
        kind: 'Machine',
        metadata,
        spec: { clusterName: plane.metadata.name, bootstrap: { dataSecretName: name }, infrastructureRef },
      },
    ]);
  }
}

/** A machine whose bootstrap is done gets a Node, as its kubelet would make it; the provider ID is the operator's to set. */
async function registerNode(client: Client, machine: AnyObject, machineIDs: Map<string, string>): Promise<void> {
  const { name, deletionTimestamp } = machine.metadata;
  const address = machine.spec?.['address'] as string | undefined;
  const done = machine.status?.conditions?.some(({ type, status }) => type === 'BootstrapExecSucceeded' && status === 'True');
  if (!done || address === undefined || deletionTimestamp !== undefined) return;
  const node = { apiVersion: 'v1', kind: 'Node', name };
  if ((await client.find(node)) !== undefined) return;
  await client.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'Demo',
    message: 'played by the demo',
    lastHeartbeatTime: now(),
    lastTransitionTime: now(),
  };
  const addresses = [{ type: 'InternalIP', address }];
  await client.patch(
    node,
    { status: { conditions: [ready], addresses, nodeInfo: { machineID: machineIDs.get(address) ?? '' } } },
    'status',
  );
}

const now = (): string => new Date().toISOString();
