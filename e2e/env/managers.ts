/** Cluster API's own managers, as the processes that they are in a real management cluster. */
import { join } from 'node:path';
import { findPrograms, providerManifests } from './binaries.ts';
import type { Progress } from './cache.ts';
import type { Client, Manifest } from './client.ts';
import type { ControlPlaneAccess } from './control-plane.ts';
import { freePorts } from './ports.ts';
import { type ManagedProcess, startProcess, untilReady } from './process.ts';
import type { Run } from './run.ts';

export const managers = ['core', 'kubeadm-bootstrap', 'kubeadm-control-plane'] as const;
export type ManagerName = (typeof managers)[number];

interface WebhookClient {
  service?: { name?: unknown; path?: string };
}

/**
 * Installs a manager's kinds. What it returns starts the manager, with its webhooks: once the kinds of all managers are there, as the
 * control plane's ends at once where the bootstrap provider's are missing.
 */
export async function prepareManager(
  run: Run,
  name: ManagerName,
  { controlPlane, client }: { controlPlane: ControlPlaneAccess; client: Client },
  progress: Progress,
): Promise<() => Promise<ManagedProcess>> {
  const program = (await findPrograms([name], progress))[name];
  const { crds, webhooks } = await providerManifests(name, progress);
  const [webhookPort = 0, healthPort = 0, diagnosticsPort = 0] = await freePorts(3);
  const certificates = await controlPlane.issueServingCertificate(name);
  const local = { url: `https://127.0.0.1:${webhookPort}`, caBundle: Buffer.from(controlPlane.ca).toString('base64') };
  await client.applyAll(crds.map((crd) => redirectWebhooks(crd, local) as Manifest));
  // Not the administrator's own certificate: the audit log tells the managers apart.
  const kubeconfig = await controlPlane.issueClientCertificate(name, ['system:masters']);
  return async () => {
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
        '--feature-gates=ClusterTopology=true',
      ],
      log: join(controlPlane.folder, `${name}.log`),
    });
    await untilReady(started, async () => (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok);
    await client.applyAll(webhooks.map((webhook) => redirectWebhooks(webhook, local) as Manifest));
    return started;
  };
}

/**
 * The object with every webhook client (its `clientConfig`) calling a port of this machine instead of a Service: no Service leads
 * anywhere without nodes.
 */
export function redirectWebhooks(value: unknown, local: { url: string; caBundle: string }): unknown {
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
