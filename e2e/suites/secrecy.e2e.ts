/** Secrets of bootstrap data, keys and passphrases turn up nowhere but in the files that the data asks for, whatever happens to them. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyObject, Manifest } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { writesOf } from '../fixtures/audit.ts';
import { Canaries, canary, ProcessWatch } from '../fixtures/canaries.ts';
import { encrypted } from '../fixtures/keys.ts';
import { CLUSTER_API, INFRASTRUCTURE, Objects } from '../fixtures/objects.ts';
import { conditionOf } from '../fixtures/pool.ts';
import { Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'secret';
const environment = sharedEnvironment('secrecy');
const canaries = new Canaries();
const secret = (name: string): string => canaries.add(name, canary(name));
/** Shown by a process that the data starts, and by programs' output: that they are seen shows that the tests look. */
const witness = canary('no-secret');

const file = secret('file');
const encoded = secret('encoded-file');
const argument = secret('argument');
const passphrase = secret('passphrase');
const assigned = secret('assigned-variable');
const hash = canaries.add('hash', `$6$salt$${canary('hash')}`);
const token = canaries.add('token', 'kubead.0123456789abcdef');
const certificateKey = canaries.add('certificate-key', 'e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204');

const FILES = ['/etc/kubernetes/pki/ca.key', '/etc/e2e/encoded', '/run/kubeadm/kubeadm-join-config.yaml'];
const show = `cat ${FILES.join(' ')}`;

/** As the kubeadm provider writes it, with more of what people add. */
const data = (commands: string[]): string => `## template: jinja
#cloud-config
write_files:
- path: ${FILES[0]}
  owner: root:root
  permissions: '0600'
  content: |
    -----BEGIN RSA PRIVATE KEY-----
    ${file}
    -----END RSA PRIVATE KEY-----
- path: ${FILES[1]}
  encoding: b64
  content: ${Buffer.from(`password of the application: ${encoded}\n`).toString('base64')}
- path: ${FILES[2]}
  content: |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: JoinConfiguration
    controlPlane: {certificateKey: ${certificateKey}}
    discovery:
      bootstrapToken: {token: ${token}}
users:
- name: secretive
  lock_passwd: false
  passwd: ${hash}
runcmd:
- ': "${argument}"'
- DB_PASSWORD='${assigned}'
- sh -c 'sleep 0.5; true' ${witness}
${commands.map((command) => `- ${JSON.stringify(command)}\n`).join('')}- mkdir -p /run/cluster-api && echo success > /run/cluster-api/bootstrap-success.complete
`;

/** Prints everything, as it is and as \`set -x\` shows it. */
const printAll = [
  `echo ${witness}; ${show}; grep secretive /etc/shadow`,
  `set -x; : "${argument}"; echo "$DB_PASSWORD" | cat; echo "invalid token: ${token}"; set +x`,
];

let objects: Objects;
let operator: Operator;
let reports: Reports;
let home: string;
const watches: ProcessWatch[] = [];
const machine = (name: string) => objects.ref('RemoteMachine', name);

beforeAll(async () => {
  const { client, namespace, startOperator, state } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  home = join(state.run.folder, `home-${namespace}`);
  await mkdir(join(home, 'tmp'), { recursive: true });
  const env = { HOME: home, TMPDIR: join(home, 'tmp') };
  operator = await startOperator({ name: 'secrecy', namespace, args: ['--v=9', '--log-run-output'], env });
  const kubeconfig = { namespace, name: `${CLUSTER}-kubeconfig` };
  await client.applyAll([
    ...objects.cluster(CLUSTER),
    { apiVersion: 'v1', kind: 'Secret', metadata: kubeconfig, stringData: { value: `users:\n- user: {token: "${secret('kubeconfig')}\n` } },
  ]);
});

/** A host whose processes are watched from now on. */
async function watchedHost(): Promise<Host> {
  const { createHost, state } = environment();
  const host = await createHost();
  addKey(host.privateKey);
  watches.push(await ProcessWatch.start(state.run, host));
  return host;
}

/** Its lines but for the first two, which all such keys have in common. */
function addKey(key: string): string {
  for (const line of key.split('\n').slice(2)) if (line.length > 40 && !line.startsWith('-')) canaries.add('key', line);
  return key;
}

async function start(name: string, commands: string[], spec: object = {}): Promise<Host> {
  const host = await watchedHost();
  await startOn(host, name, commands, objects.remoteMachine(name, { address: host.address, sshKeyRef: { name: `${name}-key` }, ...spec }));
  return host;
}

async function startOn(host: Host, name: string, commands: string[], ...manifests: Manifest[]): Promise<void> {
  const key = { value: addKey(await encrypted(host.privateKey, passphrase)), passphrase };
  const metadata = { namespace: objects.namespace, name: `${name}-key` };
  await environment().client.applyAll([
    { apiVersion: 'v1', kind: 'Secret', metadata, stringData: key },
    objects.bootstrapData(name, data(commands)),
    ...manifests,
    objects.machine(name, CLUSTER),
  ]);
}

async function fails(name: string, spec: object): Promise<void> {
  await start(name, [...printAll, 'exit 3'], spec);
  const says = ['exit code 3', witness, '[redacted]', `secretive:[redacted]:`];
  await reports.expect(name, { type: 'BootstrapExecSucceeded', status: 'False', reason: 'BootstrapFailed', says, ready: 'False' });
}

/** Data that no host is contacted for; it holds a canary where it is wrong. */
async function refused(name: string, value: string, reason: string, format?: string): Promise<void> {
  const metadata = { namespace: objects.namespace, name };
  await environment().client.applyAll([
    { ...objects.bootstrapData(name, value, format), metadata },
    objects.remoteMachine(name, { address: '127.9.9.9', port: refusals++, sshKeyRef: { name: 'unused-key' } }),
    { apiVersion: 'v1', kind: 'Secret', metadata: { ...metadata, name: 'unused-key' }, stringData: { value: 'unused' } },
    objects.machine(name, CLUSTER),
  ]);
  const says = [`Bootstrap Secret ${objects.namespace}/${name}: `];
  await reports.expect(name, { type: 'BootstrapExecSucceeded', status: 'False', reason, says, ready: 'False' });
}
let refusals = 1;

async function badKey(name: string, reason: string, key: (host: Host) => Promise<Record<string, string>>): Promise<void> {
  const host = await watchedHost();
  const metadata = { namespace: objects.namespace, name: `${name}-key` };
  const [, ...rest] = objects.explicit(name, CLUSTER, host, data([]));
  await environment().client.applyAll([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: await key(host) }, ...rest]);
  await reports.expect(name, {
    type: 'HostReachable',
    status: 'False',
    reason,
    says: [`Secret ${objects.namespace}/${name}-key`],
    ready: 'Unknown',
  });
}

sideBySide({
  'a run that succeeds leaves secrets in the files that it was to write, and a cleanup that prints them is told without them': async () => {
    const { client } = environment();
    const cleanUpCommands = [`echo ${witness}; ${show}; test -e /root/cleanable`, `rm ${FILES.join(' ')}`];
    const host = await watchedHost();
    const connection = { user: 'admin', useSudo: true, sshKeyRef: { name: 'succeeds-key' }, cleanUpCommands };
    const entry = objects.entry('entry', 'secret', host, connection, {}, { labels: { 'e2e/rack': 'a' } });
    await startOn(host, 'succeeds', printAll, entry, objects.remoteMachine('succeeds', { pool: 'secret' }));
    await reports.ready('succeeds');
    await client.waitFor(
      machine('succeeds'),
      (object) => conditionOf(object, 'NodeProviderIDSet')?.reason === 'WorkloadClusterUnreachable',
    );
    // Their data left the host with the end of the run.
    expect(await canaries.on(host)).toEqual(['/etc/e2e/encoded', '/etc/kubernetes/pki/ca.key', '/etc/shadow', FILES[2]]);
    await client.delete(objects.clusterRef('Machine', 'succeeds'));
    const says = [witness, '[redacted]'];
    await reports.expect('succeeds', { type: 'CleanedUp', reason: 'CleanupFailed', says, ready: 'Unknown' });
    await host.exec('touch /root/cleanable');
    await client.waitForGone(machine('succeeds'));
    expect(await canaries.on(host)).toEqual(['/etc/shadow']);
  },
  'a run that fails and prints them': () => fails('fails', {}),
  'a script that fails and prints them': () => fails('fails-as-script', { commandsAsScript: true }),
  'data that is no YAML': () => refused('no-yaml', `#cloud-config\nruncmd:\n- "${secret('yaml')}\n`, 'BootstrapDataInvalid'),
  'data that is no template': () =>
    refused('no-template', `## template: jinja\n#cloud-config\nruncmd:\n- {{ "${secret('template')} }}\n`, 'BootstrapDataInvalid'),
  'values and keys that are none': () =>
    refused(
      'no-values',
      `#cloud-config\n"${secret('key-of-data')} and more": 1\nusers:\n- name: "${secret('user')} x"\n  uid: ${secret('uid')}\nwrite_files:\n- path: /x\n  permissions: ${secret('mode')}\n  owner: "${secret('owner')} x"\n  encoding: ${secret('encoding')}\n`,
      'BootstrapDataInvalid',
    ),
  'a format that is none': () => refused('no-format', '#cloud-config\n', 'BootstrapFormatUnsupported', secret('format')),
  'a wrong passphrase': () =>
    badKey('wrong-passphrase', 'WrongPassphrase', async (host) => ({
      value: await encrypted(host.privateKey, 'the right one'),
      passphrase: secret('wrong-passphrase'),
    })),
  'a key that is none': () => badKey('no-key', 'InvalidPrivateKey', () => Promise.resolve({ value: secret('text-for-a-key') })),
  'a key that is damaged': () =>
    badKey('damaged-key', 'InvalidPrivateKey', () => {
      const body = Buffer.from(`openssh-key-v1\0${secret('damaged-key')}`).toString('base64');
      return Promise.resolve({ value: `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n` });
    }),
});

/** What a text should hold, so that it is known to have been looked at, and does not. */
const missing = (text: string, parts: string[]): string[] => parts.filter((part) => !text.includes(part));

describe('afterwards no secret is in', () => {
  test("the operator's log at its most verbose, with what the runs printed", () => {
    const log = operator.logs();
    expect(missing(log, ['"level":"debug"', `"line":"${witness}"`, '"line":"[redacted]"'])).toEqual([]);
    expect(canaries.in(log)).toEqual([]);
  });

  test('Events, and conditions, statuses and annotations of all objects', async () => {
    const { client, namespace } = environment();
    const kinds: [string, string][] = [
      ...['RemoteMachine', 'RemoteCluster', 'PooledRemoteMachine'].map((kind): [string, string] => [INFRASTRUCTURE, kind]),
      ...['Machine', 'Cluster'].map((kind): [string, string] => [CLUSTER_API, kind]),
      ['events.k8s.io/v1', 'Event'],
    ];
    const lists = await Promise.all(kinds.map(([apiVersion, kind]) => client.list<AnyObject>({ apiVersion, kind, namespace })));
    expect(lists.at(-1)).toEqual(expect.arrayContaining([expect.objectContaining({ reason: 'BootstrapFailed' })]));
    expect(canaries.in(JSON.stringify(lists))).toEqual([]);
  });

  test('anything that was ever written to the API server', () => {
    const { controlPlane, namespace } = environment();
    const writes = writesOf(controlPlane.auditLog ?? '', namespace).join('\n');
    expect(
      missing(writes, ['"note":', '"conditions":[', '"resource":"machines"', '"resource":"pooledremotemachines"', witness, '[redacted]']),
    ).toEqual([]);
    expect(canaries.in(writes)).toEqual([]);
  });

  test('its metrics', async () => {
    const metrics = await operator.metrics();
    expect(metrics).toContain('controller_runtime_reconcile_total');
    expect(canaries.in(metrics)).toEqual([]);
  });

  test("its own command line and environment, and on its side's disk is nothing at all", async () => {
    const own = await Promise.all(['cmdline', 'environ'].map((each) => readFile(`/proc/${operator.process.pid}/${each}`, 'latin1')));
    expect(own.join()).toContain(home);
    expect(canaries.in(own.join())).toEqual([]);
    expect(await readdir(home, { recursive: true })).toEqual(['tmp']);
  });

  test('command lines and environments of processes on the hosts', async () => {
    const seen = await Promise.all(watches.map((watch) => watch.end()));
    const [shown, executed] = (['shown', 'executed'] as const).map((key) => seen.map((each) => each[key]).join('\n')) as [string, string];
    // Of what the data itself and the operator start, to show that what was there was seen.
    expect(missing(shown, [`sleep 0.5; true ${witness}`, '/bin/sh -s', 'CLUSTER_API_PROVIDER_REMOTE=/'])).toEqual([]);
    expect(missing(executed, [`"sleep 0.5; true", "${witness}"`, '"chpasswd", "-e"', '"CLUSTER_API_PROVIDER_REMOTE=/'])).toEqual([]);
    for (const { looks } of watches) expect(looks).toBeGreaterThan(100);
    expect(canaries.in(shown + executed)).toEqual([]);
  });
});
