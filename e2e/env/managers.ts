/** Cluster API's own managers, as the processes that they are in a real management cluster. */
import { join } from 'node:path';
import { findPrograms, providerManifests } from './binaries.ts';
import type { Progress } from './cache.ts';
import { asNamed, type Client, type Manifest } from './client.ts';
import type { ControlPlaneAccess } from './control-plane.ts';
import { freePorts } from './ports.ts';
import { type ManagedProcess, startProcess, untilReady } from './process.ts';
import type { Run } from './run.ts';

export const managers = ['core', 'kubeadm-bootstrap', 'kubeadm-control-plane'] as const;
export type ManagerName = (typeof managers)[number];
/** As clusterctl and the label of their objects name them. */
export const PROVIDERS = {
  core: 'cluster-api',
  'kubeadm-bootstrap': 'bootstrap-kubeadm',
  'kubeadm-control-plane': 'control-plane-kubeadm',
} satisfies Record<ManagerName, string>;

interface WebhookClient {
  service?: { name?: unknown; path?: string };
}

interface Access {
  controlPlane: ControlPlaneAccess;
  client: Client;
}

/** Where a webhook of this machine is called. */
interface Local {
  url: string;
  caBundle: string;
}

/**
 * Installs a manager's kinds. What it returns starts the manager, with its webhooks: once the kinds of all managers are there, as the
 * control plane's ends at once where the bootstrap provider's are missing.
 */
export async function prepareManager(
  run: Run,
  name: ManagerName,
  access: Access,
  progress: Progress,
): Promise<() => Promise<ManagedProcess>> {
  const { client } = access;
  const { crds, webhooks } = await providerManifests(name, progress);
  const { local, start } = await setUp(run, name, access, progress);
  await client.applyAll(crds.map((crd) => labelled(redirectWebhooks(crd, local) as Manifest)));
  return async () => {
    const started = await start();
    await client.applyAll(webhooks.map((webhook) => redirectWebhooks(webhook, local) as Manifest));
    return started;
  };
}

/** As `clusterctl init` labels it. From the beginning: whenever a kind is changed its whole schema is checked anew, which takes long. */
const labelled = (kind: Manifest): Manifest => ({
  ...kind,
  metadata: { ...kind.metadata, labels: { ...kind.metadata.labels, 'clusterctl.cluster.x-k8s.io': '' } },
});

/** Runs a manager whose components others have installed: of these, the webhook clients alone are changed, to call it. */
export async function startInstalledManager(run: Run, name: ManagerName, access: Access, progress: Progress): Promise<ManagedProcess> {
  const { local, start } = await setUp(run, name, access, progress);
  await redirectInstalled(access.client, PROVIDERS[name], local);
  return start();
}

/** Ports, certificates and a kubeconfig of a manager, and what starts it with them. */
async function setUp(run: Run, name: ManagerName, { controlPlane }: Access, progress: Progress) {
  const program = (await findPrograms([name], progress))[name];
  const [webhookPort = 0, healthPort = 0, diagnosticsPort = 0] = await freePorts(3);
  const certificates = await controlPlane.issueServingCertificate(name);
  const local: Local = { url: `https://127.0.0.1:${webhookPort}`, caBundle: Buffer.from(controlPlane.ca).toString('base64') };
  // Not the administrator's own certificate: the audit log tells the managers apart.
  const kubeconfig = await controlPlane.issueClientCertificate(name, ['system:masters']);
  const start = async (): Promise<ManagedProcess> => {
    const started = startProcess(run, {
      name: `Cluster API ${name}`,
      command: program,
      args: [
        `--kubeconfig=${kubeconfig}`,
        '--leader-elect=false',
        `--webhook-port=${webhookPort}`,
        `--webhook-cert-dir=${certificates}`,
        `--health-addr=127.0.0.1:${healthPort}`,
        `--diagnostics-address=127.0.0.1:${diagnosticsPort}`,
        '--insecure-diagnostics',
        '--feature-gates=ClusterTopology=true,KubeadmBootstrapFormatIgnition=true',
      ],
      log: join(controlPlane.folder, `${name}.log`),
    });
    await untilReady(started, async () => (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok);
    return started;
  };
  return { local, start };
}

/** Webhooks of a provider, where they stand in the API server. */
async function redirectInstalled(client: Client, provider: string, local: Local): Promise<void> {
  const labelSelector = `cluster.x-k8s.io/provider=${provider}`;
  const admission = ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration'].map((kind) =>
    client.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind, labelSelector }),
  );
  for (const object of (await Promise.all(admission)).flat())
    await client.patch(
      asNamed(object),
      redirectWebhooks({ webhooks: (object as unknown as { webhooks: object[] }).webhooks }, local) as object,
    );
  for (const definition of await client.list({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', labelSelector })) {
    const { conversion } = definition.spec as { conversion: { webhook?: object } };
    if (conversion.webhook === undefined) continue;
    const { webhook } = redirectWebhooks(conversion, local) as { webhook: { clientConfig: object } };
    const clientConfig = { ...webhook.clientConfig, service: null };
    await client.patch(asNamed(definition), { spec: { conversion: { webhook: { clientConfig } } } });
  }
}

/**
 * The object with every webhook client (its `clientConfig`) calling a port of this machine instead of a Service: no Service leads
 * anywhere without nodes.
 */
export function redirectWebhooks(value: unknown, local: Local): unknown {
  if (Array.isArray(value)) return value.map((item) => redirectWebhooks(item, local));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => {
      const service = key === 'clientConfig' ? (item as WebhookClient).service : undefined;
      // A schema may have a property of this name too; what it says of `service` is no Service.
      if (typeof service?.name !== 'string') return [key, redirectWebhooks(item, local)];
      return [key, { url: local.url + (service.path ?? '/'), caBundle: local.caBundle }];
    }),
  );
}
