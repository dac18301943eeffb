/** This project's manager as a process, with the rights that its manifests give it and no others. */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { findPrograms } from './binaries.ts';
import { type Client, parseYAML } from './client.ts';
import { must } from './command.ts';
import { type ControlPlaneAccess, MANAGER } from './control-plane.ts';
import { freePorts } from './ports.ts';
import { type ManagedProcess, startProcess, untilReady } from './process.ts';
import type { Run } from './run.ts';

const checkout = join(import.meta.dirname, '../..');

export interface OperatorOptions {
  /** Tells several managers apart in names of files. Default `operator`. */
  name?: string;
  /** Watch this namespace only. */
  namespace?: string;
  /** Path of the kubeconfig that it works with; that of its ServiceAccount if not given. */
  kubeconfig?: string;
  /** Don't wait until it is ready, where it is not to become so. */
  unready?: true;
  /** More flags. */
  args?: string[];
  env?: Record<string, string>;
  /** Program to run: the sources by default, such as dist/manager.js of the checkout. */
  program?: string;
  /** URL of something before the API server that has a certificate of its authority. Default: the API server's own. */
  server?: string;
  /** Diagnostics as in production: over HTTPS, to whoever has the right. */
  secureDiagnostics?: true;
  /** The manifests are there already. */
  installed?: boolean;
}

export interface Operator {
  process: ManagedProcess;
  /** SIGTERM, as Kubernetes stops a Pod. Returns the exit code, null if it had to be killed after `grace` milliseconds. */
  stop(grace?: number): Promise<number | null>;
  /** SIGKILL: it gets to do nothing more. */
  kill(): Promise<void>;
  /** Everything that it has logged. */
  logs(): string;
  /** Its metrics in Prometheus' text form; not with secureDiagnostics. */
  metrics(): Promise<string>;
  /** `host:port` of its diagnostics, and of /healthz and /readyz. */
  diagnostics: string;
  health: string;
}

/** Installs kinds, rights and policies (everything of manifests/default except the Deployment), then starts the manager and waits for /readyz. */
export async function startOperator(
  run: Run,
  { controlPlane, client }: { controlPlane: ControlPlaneAccess; client: Client },
  {
    name = 'operator',
    namespace,
    args = [],
    env = {},
    program = 'operator/main.ts',
    server = controlPlane.url,
    installed,
    kubeconfig: given,
    unready,
    secureDiagnostics,
  }: OperatorOptions,
): Promise<Operator> {
  if (installed !== true) await installedManifests(client);
  // Suites that run side by side each have their own.
  const file = namespace === undefined ? name : `${name}-${namespace}`;
  const kubeconfig = given ?? (await serviceAccountKubeconfig({ ...controlPlane, url: server }, client, file));
  const [healthPort = 0, diagnosticsPort = 0] = await freePorts(2);
  const started = startProcess(run, {
    name,
    command: process.execPath,
    args: [
      resolve(checkout, program),
      `--kubeconfig=${kubeconfig}`,
      `--health-addr=127.0.0.1:${healthPort}`,
      `--diagnostics-address=127.0.0.1:${diagnosticsPort}`,
      ...(secureDiagnostics ? [] : ['--insecure-diagnostics']),
      ...(namespace === undefined ? [] : [`--namespace=${namespace}`]),
      ...args,
    ],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], POD_NAMESPACE: MANAGER.namespace, ...env },
    log: join(controlPlane.folder, `${file}.log`),
  });
  if (!unready) await untilReady(started, async () => (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok);
  return {
    process: started,
    stop: (grace = 20_000) => started.stop(grace),
    kill: () => started.kill(),
    logs: () => started.output(),
    metrics: async () => (await fetch(`http://127.0.0.1:${diagnosticsPort}/metrics`)).text(),
    diagnostics: `127.0.0.1:${diagnosticsPort}`,
    health: `127.0.0.1:${healthPort}`,
  };
}

/** A kubeconfig with a token of the manager's ServiceAccount, as a pod would get it. */
async function serviceAccountKubeconfig(controlPlane: ControlPlaneAccess, client: Client, name: string): Promise<string> {
  const token = await client.tokenOf(MANAGER);
  const certificateAuthority = Buffer.from(controlPlane.ca).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'e2e',
    clusters: [{ name: 'e2e', cluster: { server: controlPlane.url, 'certificate-authority-data': certificateAuthority } }],
    users: [{ name: 'e2e', user: { token } }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'e2e' } }],
  };
  const path = join(controlPlane.folder, `${name}.kubeconfig`);
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

const installed = new WeakMap<Client, Promise<void>>();
/** Once for all managers that one process starts. */
function installedManifests(client: Client): Promise<void> {
  const installing = installed.get(client) ?? installManifests(client);
  installed.set(client, installing);
  return installing;
}

/** Everything that the manager needs in the cluster, without the Deployment: there are no nodes to run it. */
export async function installManifests(client: Client): Promise<void> {
  const { kubectl } = await findPrograms(['kubectl'], () => undefined);
  const manifests = parseYAML(await must(kubectl, ['kustomize', join(checkout, 'manifests/default')]));
  await client.applyAll(manifests.filter(({ kind }) => kind !== 'Deployment'));
}
