/** A container of a Pod as an OCI runtime bundle: what the image says, and what the Pod says over it. */
import type { ImageConfig } from '../../../release/image/config.ts';
import type { Container, Pod } from './types.ts';
import { fieldOf } from './volumes.ts';

/** Capabilities that containerd gives where a Pod says nothing. */
const DEFAULT_CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP']
  .concat(['NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'])
  .map((name) => `CAP_${name}`);

const MASKED = ['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi'];
const READ_ONLY = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'];

export interface BundleOptions {
  pod: Pod;
  container: Container;
  image: ImageConfig;
  /** Folder of the root file system. */
  root: string;
  /** Path of the network namespace. */
  network: string;
  cgroup: string;
  /** Folders of the Pod's volumes, by name. */
  volumes: Map<string, string>;
  /** Folder with the Pod's hosts and resolv.conf. */
  files: string;
  /** Of the API server, as every Pod has it in its environment. */
  service: { host: string; port: string };
}

/** config.json of the bundle (OCI runtime-spec). */
export function runtimeConfig(options: BundleOptions): object {
  const { pod, container, image, root, network, cgroup } = options;
  const security = { ...pod.spec.securityContext, ...container.securityContext };
  const memory = bytesOf(container.resources?.limits?.['memory']);
  return {
    ociVersion: '1.0.2',
    hostname: pod.metadata.name,
    root: { path: root, readonly: security.readOnlyRootFilesystem === true },
    process: processOf(options, security),
    mounts: mountsOf(options),
    linux: {
      cgroupsPath: `/${cgroup}`,
      resources: { devices: [{ allow: false, access: 'rwm' }], ...(memory !== undefined && { memory: { limit: memory } }) },
      namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'network', path: network }],
      maskedPaths: ['/sys/firmware', ...MASKED.map((name) => `/proc/${name}`)],
      readonlyPaths: READ_ONLY.map((name) => `/proc/${name}`),
    },
    annotations: { image: Object.keys(image.Labels).join(' ') },
  };
}

function processOf({ pod, container, image, service }: BundleOptions, security: NonNullable<Container['securityContext']>): object {
  const [imageUser = 0, imageGroup = 0] = image.User.split(':').map(Number);
  const uid = security.runAsUser ?? imageUser;
  if (security.runAsNonRoot === true && uid === 0) throw new Error(`${container.name}: runAsNonRoot, and the image runs as root`);
  const capabilities = capabilitiesOf(security.capabilities);
  // An account without root keeps none of them; the bounding set is what it could still come by.
  const effective = uid === 0 ? capabilities : [];
  return {
    user: { uid, gid: security.runAsGroup ?? imageGroup },
    args: [...(container.command ?? image.Entrypoint), ...(container.args ?? [])],
    env: [...image.Env, ...environmentOf(pod, container, service)],
    cwd: container.workingDir ?? image.WorkingDir,
    noNewPrivileges: security.allowPrivilegeEscalation === false,
    capabilities: { bounding: capabilities, effective, permitted: effective, inheritable: [], ambient: [] },
  };
}

function capabilitiesOf({ drop = [], add = [] }: { drop?: string[]; add?: string[] } = {}): string[] {
  const left = drop.includes('ALL') ? [] : DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name.slice('CAP_'.length)));
  return [...left, ...add.map((name) => `CAP_${name}`)];
}

function environmentOf(pod: Pod, { env = [] }: Container, service: BundleOptions['service']): string[] {
  const given = env.map(({ name, value, valueFrom }) => {
    if (valueFrom === undefined) return `${name}=${value ?? ''}`;
    if (valueFrom.fieldRef === undefined) throw new Error(`env ${name}: only fieldRef is built`);
    return `${name}=${fieldOf(pod, valueFrom.fieldRef.fieldPath)}`;
  });
  return [
    `HOSTNAME=${pod.metadata.name}`,
    `KUBERNETES_SERVICE_HOST=${service.host}`,
    `KUBERNETES_SERVICE_PORT=${service.port}`,
    `KUBERNETES_SERVICE_PORT_HTTPS=${service.port}`,
    ...given,
  ];
}

function mountsOf({ container, volumes, files }: BundleOptions): object[] {
  const safe = ['nosuid', 'noexec', 'nodev'];
  const bind = (source: string, destination: string, readOnly: boolean): object => ({
    destination,
    source,
    type: 'bind',
    options: ['rbind', 'rprivate', readOnly ? 'ro' : 'rw'],
  });
  const own = (container.volumeMounts ?? []).map(({ name, mountPath, readOnly = false, subPath }) => {
    const folder = volumes.get(name);
    if (folder === undefined || subPath !== undefined) throw new Error(`${container.name}: no volume for the mount at ${mountPath}`);
    return bind(folder, mountPath, readOnly);
  });
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: safe },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...safe, 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: safe },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...safe, 'ro'] },
    bind(`${files}/hosts`, '/etc/hosts', true),
    bind(`${files}/resolv.conf`, '/etc/resolv.conf', true),
    ...own,
  ];
}

/** Of a quantity in the forms that memory limits are written in. */
export function bytesOf(quantity: string | undefined): number | undefined {
  if (quantity === undefined) return undefined;
  const [, number = '', unit = ''] = /^(\d+)(|Ki|Mi|Gi|k|M|G)$/.exec(quantity) ?? [];
  const factor = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, k: 1e3, M: 1e6, G: 1e9 }[unit];
  if (number === '' || factor === undefined) throw new Error(`${quantity} is a quantity of a form that is not built`);
  return Number(number) * factor;
}
