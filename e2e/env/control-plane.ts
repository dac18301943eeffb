/** A Kubernetes control plane without nodes: etcd, kube-apiserver and, where asked for, kube-controller-manager. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findPrograms } from './binaries.ts';
import type { Progress } from './cache.ts';
import { authority, createAuthority, createSigningKey, issue, kubeconfig, type KeyPair } from './certificates.ts';
import { freePorts } from './ports.ts';
import { type ManagedProcess, startProcess, untilReady } from './process.ts';
import type { Run } from './run.ts';

/** The ServiceAccount that this project's manifests give the manager. */
export const MANAGER = { namespace: 'cluster-api-provider-remote-system', serviceAccount: 'cluster-api-provider-remote' };

export interface ControlPlaneOptions {
  /** Folder name within the run; one run may have several control planes. */
  name?: string;
  /** Write an audit log: at level Request what our managers write, at level Metadata all else. */
  audit?: boolean;
  /** Address of this machine that the API server listens on. Default 127.0.0.1. */
  address?: string;
  /** Other addresses by which clients reach it, such as a load balancer's: its certificate is for them too. */
  alsoAt?: string[];
  /** Start kube-controller-manager: garbage collection, namespaces that really go, ServiceAccounts and their tokens. */
  controllerManager?: boolean;
}

/** Plain data that another process or test can go on with; see `access`. */
export interface ControlPlaneState {
  folder: string;
  url: string;
  /** Path of the administrator's kubeconfig. */
  kubeconfig: string;
  /** Path of the audit log, whose lines are audit.k8s.io/v1 Events. */
  auditLog?: string;
}

/** What can be done with a control plane from its files alone. */
export interface ControlPlaneAccess extends ControlPlaneState {
  /** PEM. */
  ca: string;
  /** Makes a client certificate and returns the path of its kubeconfig. For a ServiceAccount's rights use its user name and groups. */
  issueClientCertificate(commonName: string, organizations?: string[]): Promise<string>;
  /** Makes a server certificate for 127.0.0.1 in a new folder, as tls.crt and tls.key: what webhook servers read. */
  issueServingCertificate(name: string): Promise<string>;
}

export interface ControlPlane extends ControlPlaneAccess {
  etcdURL: string;
  processes: { etcd: ManagedProcess; apiServer: ManagedProcess; controllerManager?: ManagedProcess };
  /** Stops the API server and starts it again on the same port: every watch and request breaks. */
  restartAPIServer(): Promise<void>;
  /** SIGKILL to the API server; startAPIServer brings it back. */
  killAPIServer(): Promise<void>;
  startAPIServer(): Promise<void>;
  stop(): Promise<void>;
}

const auditPolicy = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'Request', userGroups: [`system:serviceaccounts:${MANAGER.namespace}`], verbs: ['create', 'update', 'patch', 'delete'] },
    { level: 'Metadata' },
  ],
});

/** Keys, certificates and kubeconfigs of a new control plane, in its folder. */
async function writeFiles(state: ControlPlaneState, { address, alsoAt = [] }: ControlPlaneOptions) {
  const { folder } = state;
  await createAuthority(folder);
  const server = await issue(folder, 'apiserver', { commonName: 'kube-apiserver' }, [
    'IP:127.0.0.1',
    'IP:10.0.0.1',
    ...[address ?? [], alsoAt].flat().map((ip) => `IP:${ip}`),
    'DNS:localhost',
    'DNS:kubernetes.default.svc',
  ]);
  const etcd = await issue(folder, 'etcd', { commonName: 'etcd' }, ['IP:127.0.0.1']);
  await createSigningKey(join(folder, 'service-account.key'));
  await writeFile(join(folder, 'audit-policy.json'), auditPolicy);
  const plane = await access(state);
  const admin = await plane.issueClientCertificate('admin', ['system:masters']);
  await writeFile(state.kubeconfig, await readFile(admin, 'utf8'), { mode: 0o600 });
  return { plane, server, etcd };
}

export async function startControlPlane(run: Run, options: ControlPlaneOptions, progress: Progress): Promise<ControlPlane> {
  const programs = await findPrograms(
    ['etcd', 'kube-apiserver', ...(options.controllerManager ? (['kube-controller-manager'] as const) : [])],
    progress,
  );
  const folder = join(run.folder, options.name ?? 'control-plane');
  const [client = 0, peer = 0, secure = 0, manager = 0] = await freePorts(4);
  const state: ControlPlaneState = {
    folder,
    url: `https://${options.address ?? '127.0.0.1'}:${secure}`,
    kubeconfig: join(folder, 'admin.kubeconfig'),
    ...(options.audit && { auditLog: join(folder, 'audit.log') }),
  };
  const { plane, server, etcd } = await writeFiles(state, options);
  const start = (name: string, command: string, args: string[]): ManagedProcess =>
    startProcess(run, { name, command, args, log: join(folder, `${name}.log`) });
  const processes = { etcd: start('etcd', programs.etcd, etcdFlags(folder, client, peer, etcd)) } as ControlPlane['processes'];
  const launchAPIServer = async (check: string) => {
    processes.apiServer = start('kube-apiserver', programs['kube-apiserver'], apiServerFlags(state, client, secure, server));
    await untilReady(processes.apiServer, () => isReady(state.url + check, plane.ca, join(folder, 'admin')));
  };
  await launchAPIServer('/readyz');
  // Its roles are there already, and looking at them takes long where clients have a lot to ask.
  const startAPIServer = () => launchAPIServer('/readyz?exclude=poststarthook/rbac/bootstrap-roles');
  if (options.controllerManager) {
    const program = programs['kube-controller-manager' as keyof typeof programs];
    processes.controllerManager = start('kube-controller-manager', program, controllerManagerFlags(state, manager));
  }
  return {
    ...plane,
    etcdURL: `https://127.0.0.1:${client}`,
    processes,
    startAPIServer,
    killAPIServer: () => processes.apiServer.kill(),
    restartAPIServer: async () => {
      await processes.apiServer.stop();
      await startAPIServer();
    },
    stop: async () => {
      await processes.controllerManager?.stop();
      await processes.apiServer.stop();
      await processes.etcd.stop();
    },
  };
}

/** Access to a control plane from its files. */
export async function access(state: ControlPlaneState): Promise<ControlPlaneAccess> {
  const { folder, url } = state;
  const ca = authority(folder).certificate;
  return {
    ...state,
    ca: await readFile(ca, 'utf8'),
    async issueClientCertificate(commonName, organizations = []) {
      const name = commonName.replaceAll(/[^A-Za-z0-9.-]/g, '_');
      const pair = await issue(folder, name, { commonName, organizations });
      const path = join(folder, `${name}.kubeconfig`);
      await writeFile(path, await kubeconfig(url, ca, pair), { mode: 0o600 });
      return path;
    },
    async issueServingCertificate(name) {
      const pair = await issue(folder, `serving-${name}`, { commonName: name }, ['IP:127.0.0.1', 'DNS:localhost']);
      const target = join(folder, `serving-${name}`);
      await mkdir(target, { recursive: true });
      await writeFile(join(target, 'tls.crt'), await readFile(pair.certificate));
      await writeFile(join(target, 'tls.key'), await readFile(pair.key), { mode: 0o600 });
      return target;
    },
  };
}

/** Without fsync: a test's data needs to survive processes, not power cuts of this machine. */
function etcdFlags(folder: string, client: number, peer: number, server: KeyPair): string[] {
  return [
    '--name=e2e',
    `--data-dir=${join(folder, 'etcd')}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
    `--listen-client-urls=https://127.0.0.1:${client}`,
    `--advertise-client-urls=https://127.0.0.1:${client}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-cluster=e2e=http://127.0.0.1:${peer}`,
    `--cert-file=${server.certificate}`,
    `--key-file=${server.key}`,
    '--client-cert-auth',
    // By which etcd's JSON gateway asks etcd.
    `--client-cert-file=${join(folder, 'admin.crt')}`,
    `--client-key-file=${join(folder, 'admin.key')}`,
    `--trusted-ca-file=${authority(folder).certificate}`,
  ];
}

function apiServerFlags({ folder, url, auditLog }: ControlPlaneState, etcdPort: number, port: number, server: KeyPair): string[] {
  const ca = authority(folder).certificate;
  const signing = join(folder, 'service-account.key');
  return [
    `--etcd-servers=https://127.0.0.1:${etcdPort}`,
    `--etcd-cafile=${ca}`,
    `--etcd-certfile=${join(folder, 'admin.crt')}`,
    `--etcd-keyfile=${join(folder, 'admin.key')}`,
    `--bind-address=${new URL(url).hostname}`,
    '--advertise-address=127.0.0.1',
    // It would publish the loopback address as an endpoint, which the API refuses.
    '--endpoint-reconciler-type=none',
    `--secure-port=${port}`,
    `--tls-cert-file=${server.certificate}`,
    `--tls-private-key-file=${server.key}`,
    `--client-ca-file=${ca}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-signing-key-file=${signing}`,
    `--service-account-key-file=${signing}`,
    '--shutdown-delay-duration=0s',
    ...(auditLog === undefined ? [] : auditFlags(folder, auditLog)),
  ];
}

/** In one file, however long it gets: by itself the server goes on in another one after 100 MB. */
const auditFlags = (folder: string, auditLog: string): string[] => [
  `--audit-log-path=${auditLog}`,
  `--audit-policy-file=${join(folder, 'audit-policy.json')}`,
  '--audit-log-maxsize=100000',
];

function controllerManagerFlags({ folder, kubeconfig: config }: ControlPlaneState, port: number): string[] {
  const ca = authority(folder);
  return [
    `--kubeconfig=${config}`,
    `--authentication-kubeconfig=${config}`,
    `--authorization-kubeconfig=${config}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--leader-elect=false',
    `--service-account-private-key-file=${join(folder, 'service-account.key')}`,
    `--root-ca-file=${ca.certificate}`,
    `--cluster-signing-cert-file=${ca.certificate}`,
    `--cluster-signing-key-file=${ca.key}`,
    '--use-service-account-credentials',
    // Nodes here are objects that tests write, without a kubelet that reports.
    '--controllers=*,-node-ipam-controller,-node-route-controller,-node-lifecycle-controller,-cloud-node-lifecycle-controller,-service-lb-controller',
  ];
}

/** Whether the API server says that it is ready, to the client whose certificate stands at `client`.crt and .key. */
async function isReady(url: string, ca: string, client: string): Promise<boolean> {
  if (!existsSync(`${client}.crt`)) throw new Error(`no client certificate at ${client}.crt`);
  const [cert, key] = await Promise.all([readFile(`${client}.crt`), readFile(`${client}.key`)]);
  return new Promise((resolve) => {
    const asked = request(url, { ca, cert, key, timeout: 2000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(false)).on('timeout', () => asked.destroy(new Error('timeout')));
    asked.end();
  });
}
