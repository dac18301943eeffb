/**
 * What Cluster API's kubeadm bootstrap manager writes for a control plane that begins, one that joins and a worker, in both formats, is
 * what e2e/corpus has of this version: the suites that hold the operator against cloud-init and Ignition carry it out. UPDATE=1 keeps
 * what it writes now. Hosts have a stand-in for kubeadm, which the documents bring along as any other file.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { versionOf } from '../env/binaries.ts';
import type { AnyObject, Manifest } from '../env/client.ts';
import { Objects } from '../fixtures/objects.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const FOLDER = join(import.meta.dirname, `../corpus/kubeadm-${versionOf('cluster-api')}`);
const CONTROL_PLANE = 'cluster.x-k8s.io/control-plane';
const WITNESS = '/var/log/witness';
const FORMATS = { 'cloud-config': 'yaml', ignition: 'ign' } as const;
type Format = keyof typeof FORMATS;

const environment = sharedEnvironment('documents');
let objects: Objects;

const standIn = { path: '/usr/local/bin/kubeadm', owner: 'root:root', permissions: '0755', content: `#!/bin/sh\necho "$*" >>${WITNESS}\n` };
const discovery = {
  bootstrapToken: {
    apiServerEndpoint: '192.0.2.1:6443',
    token: 'abcdef.0123456789abcdef',
    caCertHashes: [`sha256:${'0123456789abcdef'.repeat(4)}`],
  },
};
const nodeRegistration = {
  name: '{{ ds.meta_data.local_hostname }}',
  criSocket: 'unix:///run/containerd/containerd.sock',
  kubeletExtraArgs: [{ name: 'node-labels', value: 'rack=a,size="large"' }],
};

/** What people add to a machine beside kubeadm itself. */
const extras = (format: Format) => ({
  format,
  files: [
    standIn,
    { path: '/etc/e2e/extra.conf', owner: 'root:adm', permissions: '0640', content: 'a: 1\n# ${HOME} "quoted" \\ 日本\n' },
    { path: '/etc/e2e/packed', permissions: '0600', encoding: 'base64', content: Buffer.from('from base64\n').toString('base64') },
    { path: '/etc/motd', append: true, content: 'appended\n' },
  ].filter((file) => format === 'cloud-config' || !('append' in file)),
  users: [
    {
      name: 'operations',
      gecos: 'Operations, on call',
      groups: 'users, adm',
      sudo: 'ALL=(ALL) NOPASSWD:ALL',
      shell: '/bin/sh',
      // In Ignition's form that replaces all of sshd's configuration.
      ...(format === 'cloud-config' && { lockPassword: false }),
      passwd: '$6$salt$hash',
      sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMYDbOLahOWSzLEj2H7ISgjepCyME/Mowd7Rl2B0j3ch operations'],
    },
  ],
  ntp: { enabled: true, servers: ['192.0.2.123', '192.0.2.124'] },
  ...(format === 'cloud-config' && { mounts: [['tmpfs', '/mnt/scratch', 'tmpfs', 'size=1m,mode=0700']] }),
  preKubeadmCommands: [`echo "before, on $(hostname)" >>${WITNESS}`, `printf '%s\\n' "it's" >>${WITNESS}`],
  postKubeadmCommands: [`echo after >>${WITNESS}`],
});

/** The suite of disks applies the documents to real ones: here the plan alone is held against them. */
const disks = (format: Format) => {
  const inCloudConfig = format === 'cloud-config';
  const filesystem = {
    device: '/dev/vdb',
    filesystem: 'ext4',
    label: 'etcd_disk',
    overwrite: false,
    extraOpts: ['-F', '-E', 'lazy_itable_init=1'],
  };
  return {
    diskSetup: {
      partitions: [{ device: '/dev/vdb', layout: true, overwrite: false, ...(inCloudConfig && { tableType: 'gpt' }) }],
      filesystems: [{ ...filesystem, ...(inCloudConfig && { partition: 'auto' }) }],
    },
    mounts: [[inCloudConfig ? 'LABEL=etcd_disk' : 'etcd_disk', '/var/lib/etcd']],
  };
};

const certificates = (cluster: string): Manifest[] =>
  ['ca', 'etcd', 'proxy', 'sa'].map((what) => ({
    ...objects.secret(
      `${cluster}-${what}`,
      { 'tls.crt': `-----BEGIN CERTIFICATE-----\nnot one: ${what}\n-----END CERTIFICATE-----\n`, 'tls.key': `not a key: ${what}\n` },
      { labels: { 'cluster.x-k8s.io/cluster-name': cluster } },
    ),
    type: 'cluster.x-k8s.io/secret',
  }));

/** A Machine with a KubeadmConfig. */
function machine(name: string, cluster: string, spec: object, labels: Record<string, string> = {}): Manifest[] {
  const apiGroup = 'bootstrap.cluster.x-k8s.io';
  const made = objects.machine(name, cluster, { version: 'v1.34.4', bootstrap: { configRef: { apiGroup, kind: 'KubeadmConfig', name } } });
  return [
    objects.remoteMachine(name, { pool: 'none' }),
    {
      apiVersion: `${apiGroup}/v1beta2`,
      kind: 'KubeadmConfig',
      metadata: { namespace: objects.namespace, name, labels: { 'cluster.x-k8s.io/cluster-name': cluster, ...labels } },
      spec,
    },
    { ...made, metadata: { ...made.metadata, labels } },
  ];
}

/** The bootstrap data of a machine, once it is written. */
async function written(name: string): Promise<string> {
  const { client } = environment();
  const provided = (found: AnyObject): boolean => (found.spec?.['bootstrap'] as { dataSecretName?: string }).dataSecretName !== undefined;
  await client.waitFor(objects.clusterRef('Machine', name), provided, 90_000);
  const { data } = await client.get({ apiVersion: 'v1', kind: 'Secret', namespace: objects.namespace, name });
  return Buffer.from(data?.['value'] ?? '', 'base64').toString();
}

/** Every document of a format, by its file. */
async function documentsOf(format: Format): Promise<Record<string, string>> {
  const { client } = environment();
  const cluster = format;
  const add = extras(format);
  const init = { initConfiguration: { nodeRegistration }, clusterConfiguration: { apiServer: { certSANs: ['192.0.2.1'] } }, ...add };
  const join = { joinConfiguration: { nodeRegistration, discovery } };
  const label = { [CONTROL_PLANE]: '' };
  const made = (name: string) => `${format}-${name}`;
  await client.applyAll([...certificates(cluster), ...objects.cluster(cluster), ...machine(made('init'), cluster, init, label)]);
  const first = await written(made('init'));
  // What the control plane provider would say once the first one is up.
  const now = new Date().toISOString();
  const condition = { type: 'ControlPlaneInitialized', status: 'True', reason: 'Initialized', message: '', lastTransitionTime: now };
  const { status } = await client.get(objects.clusterRef('Cluster', cluster));
  const conditions = [...(status?.conditions ?? []).filter(({ type }) => type !== condition.type), condition];
  await client.patch(
    objects.clusterRef('Cluster', cluster),
    { status: { conditions, initialization: { controlPlaneInitialized: true } } },
    'status',
  );
  await client.applyAll([
    ...machine(made('join'), cluster, { ...join, joinConfiguration: { ...join.joinConfiguration, controlPlane: {} }, ...add }, label),
    ...machine(made('worker'), cluster, { ...join, ...add }),
    ...machine(made('disks'), cluster, { ...join, ...add, ...disks(format) }),
  ]);
  const file = (name: string) => `${format}/${name}.${FORMATS[format]}`;
  return {
    [file('init')]: first,
    [file('join-control-plane')]: await written(made('join')),
    [file('join-worker')]: await written(made('worker')),
    [`disks.${FORMATS[format]}`]: await written(made('disks')),
  };
}

beforeAll(async () => {
  const { namespace, startOperator } = environment();
  objects = new Objects(namespace);
  await startOperator({ namespace });
});

test.each(Object.keys(FORMATS) as Format[])('%s', async (format) => {
  const documents = await documentsOf(format);
  for (const [name, text] of Object.entries(documents)) {
    const file = join(FOLDER, name);
    if (process.env['UPDATE'] !== undefined) {
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, text);
    }
    expect([name, existsSync(file) && readFileSync(file, 'utf8')]).toEqual([name, text]);
  }
});
