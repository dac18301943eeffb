/** Which host keys are trusted: given in every form, and no other is. Keys that change are in changed-keys. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../env/client.ts';
import { must } from '../env/command.ts';
import type { HostOptions, Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { fingerprintOf, loginsOf, mustExec } from '../fixtures/hosts.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { changed, refused, STRANGER } from '../fixtures/host-keys.ts';
import { errorsOf, type Report, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'trust';
const PIN = `${PREFIX}/host-key`;
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('trust');
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'trust', namespace });
  await client.applyAll(objects.cluster(CLUSTER));
});

const machine = (name: string) => objects.ref('RemoteMachine', name);

describe('a key that is given', () => {
  /** A way to give a key: fields of the spec, and an object that they name. */
  type Way = (name: string, host: Host, publicKey: string) => Promise<{ spec: object; also?: Manifest }>;

  const inHostKeys =
    (keys: (publicKey: string) => string[] | Promise<string[]>): Way =>
    async (_, __, publicKey) => ({ spec: { hostKeys: await keys(publicKey) } });
  const inKnownHosts =
    (kind: 'Secret' | 'ConfigMap', lines: (host: Host, publicKey: string) => string | Promise<string>, spec: object = {}): Way =>
    async (name, host, publicKey) => {
      const known = { known_hosts: await lines(host, publicKey) };
      const also = kind === 'Secret' ? objects.secret(`${name}-known`, known) : objects.configMap(`${name}-known`, known);
      return { spec: { knownHostsRef: { kind, name: `${name}-known` }, ...spec }, also };
    };

  /** The host shows another key than the one given, which is refused, and then the one given; nothing is pinned. */
  async function given(name: string, way: Way, options: HostOptions = {}, prepare: (host: Host) => Promise<string> = keyOf): Promise<void> {
    const { client, createHost } = environment();
    const host = await createHost(options);
    const publicKey = await prepare(host);
    const wrong = await way(name, host, STRANGER);
    await client.applyAll([
      ...(wrong.also === undefined ? [] : [wrong.also]),
      ...objects.explicit(name, CLUSTER, host, counting(), { cleanUpCommands, ...wrong.spec }),
    ]);
    await reports.expect(name, refused('HostReachable', changed(await fingerprintOf(STRANGER), await fingerprintOf(host.hostPublicKey))));
    expect(await loginsOf(host)).toBe(0);
    const right = await way(name, host, publicKey);
    if (right.also !== undefined) await client.apply(right.also);
    await client.patch(machine(name), { spec: right.spec });
    const ready = await reports.ready(name);
    expect(await runsOf(host)).toBe(1);
    expect(ready.metadata.annotations).not.toHaveProperty([PIN]);
    expect(ready.status?.['host']).toMatchObject({ hostKey: await fingerprintOf(publicKey) });
  }

  const PORT = 2222;
  const onPort: HostOptions = { sshdConfig: `Port 22\nPort ${PORT}` };

  sideBySide({
    'a fingerprint': () =>
      given(
        'fingerprint',
        inHostKeys(async (key) => [await fingerprintOf(key)]),
      ),
    'public keys, one of them the host’s': () =>
      given(
        'public-key',
        inHostKeys((key) => [`${STRANGER} root@before`, `${key} root@now`]),
      ),
    'the fingerprint of its RSA key, of a host that has three': () =>
      given(
        'of-three',
        inHostKeys(async (key) => [await fingerprintOf(key)]),
        {},
        withAllKeys,
      ),
    'a line of known hosts in a Secret': () =>
      given(
        'secret',
        inKnownHosts('Secret', ({ address }, key) => `# hosts\nelsewhere,${address} ${key} root@host\n`),
      ),
    'a hashed line of known hosts in a ConfigMap': () =>
      given(
        'hashed',
        inKnownHosts('ConfigMap', ({ address }, key) => hashed(`${address} ${key}\n`)),
      ),
    'a line for [host]:port': () =>
      given(
        'port',
        inKnownHosts('ConfigMap', ({ address }, key) => `[${address}]:${PORT} ${key}\n${address} ${STRANGER}\n`, { port: PORT }),
        onPort,
      ),
    'a hashed line for [host]:port': () =>
      given(
        'hashed-port',
        inKnownHosts('Secret', ({ address }, key) => hashed(`[${address}]:${PORT} ${key}\n`), { port: PORT }),
        onPort,
      ),
    'known hosts that are not there, or lack their key, are told': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      const knownHostsRef = { kind: 'ConfigMap', name: 'late-known' };
      await client.applyAll(objects.explicit('late', CLUSTER, host, counting(), { cleanUpCommands, knownHostsRef }));
      const told = (reason: string, ...says: string[]): Report => ({
        ...refused('HostReachable', [`ConfigMap ${objects.namespace}/late-known`, ...says]),
        reason,
      });
      await reports.expect('late', told('SecretNotFound', 'does not exist: create it'));
      await client.apply(objects.configMap('late-known', { hosts: '' }));
      await reports.expect('late', told('SecretKeyMissing', 'has no key `known_hosts`'));
      await client.apply(objects.configMap('late-known', { known_hosts: `${host.address} ${host.hostPublicKey}\n` }));
      await reports.ready('late');
      expect(await runsOf(host)).toBe(1);
    },
  });
});

const keyOf = (host: Host): Promise<string> => Promise.resolve(host.hostPublicKey);

/** Gives the host keys of every type beside its Ed25519 key, as Debian does; returns the RSA key. */
async function withAllKeys(host: Host): Promise<string> {
  await host.stopSSHD();
  await mustExec(host, 'ssh-keygen -A');
  await host.startSSHD();
  return (await host.readFile('/etc/ssh/ssh_host_rsa_key.pub')).split(' ').slice(0, 2).join(' ');
}

/** Known hosts with their names hashed, by ssh-keygen. */
async function hashed(lines: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'e2e-known-hosts-'));
  try {
    const path = join(folder, 'known_hosts');
    await writeFile(path, lines);
    await must('ssh-keygen', ['-q', '-H', '-f', path]);
    const text = await readFile(path, 'utf8');
    expect(text).toMatch(/^\|1\|/);
    return text;
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
