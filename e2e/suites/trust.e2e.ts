/** Which host keys are trusted: given in every form, or pinned at first contact; changed, accepted, and of hosts that were installed anew. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../env/client.ts';
import { must } from '../env/command.ts';
import type { HostOptions, Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { fingerprintOf, loginsOf, mustExec } from '../fixtures/hosts.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { conditionOf, type Entry, entryOf, isFree } from '../fixtures/pool.ts';
import { errorsOf, type Report, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'trust';
const PIN = `${PREFIX}/host-key`;
const ACCEPT = `${PREFIX}/accept-host-key`;
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];
/** Nobody's. */
const STRANGER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKMpjGSNm2jsPWyHfS8R';

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
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);
const accept = (reference: ReturnType<typeof machine>, fingerprint: string) =>
  environment().client.patch(reference, { metadata: { annotations: { [ACCEPT]: fingerprint } } });
const remove = (name: string) => environment().client.delete(objects.clusterRef('Machine', name));

/** Both fingerprints, and what to do. */
const changed = (expected: string, presented: string): string[] => [
  `expected ${expected}`,
  `presented ${presented}`,
  `${PREFIX}/accept-host-key=${presented}`,
];
const refused = (type: Report['type'], says: Report['says']): Report => ({
  type,
  status: type === 'HostReachable' ? 'False' : 'Unknown',
  reason: 'HostKeyChanged',
  says,
  ready: 'Unknown',
});

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

test('a key that is accepted before first contact is the only one that is taken, and pinned', async () => {
  const { client, createHost } = environment();
  const host = await createHost();
  const [presented, stranger] = await Promise.all([fingerprintOf(host.hostPublicKey), fingerprintOf(STRANGER)]);
  const accepting = objects
    .explicit('foreseen', CLUSTER, host, counting(), { cleanUpCommands })
    .map((manifest) => (manifest.kind === 'RemoteMachine' ? withAnnotation(manifest, ACCEPT, stranger) : manifest));
  await client.applyAll(accepting);
  await reports.expect('foreseen', refused('HostReachable', changed(stranger, presented)));
  await accept(machine('foreseen'), presented);
  const { metadata } = await reports.ready('foreseen');
  expect(metadata.annotations).toMatchObject({ [PIN]: host.hostPublicKey });
  expect(metadata.annotations).not.toHaveProperty([ACCEPT]);
});

const withAnnotation = (manifest: Manifest, name: string, value: string): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations: { [name]: value } },
});

describe('a key that changed', () => {
  const pooled = (name: string, pool: string, metadata: object = {}) => [
    objects.bootstrapData(name, counting()),
    objects.remoteMachine(name, { pool }, metadata),
    objects.machine(name, CLUSTER),
  ];
  beforeAll(async () => {
    const { client, createHost } = environment();
    await client.apply(objects.sshKey('pool-key', await createHost()));
  });

  /** Waits until the condition tells of the change in these words. */
  const waitForWords = (reference: ReturnType<typeof machine>, type: string, says: string[]) =>
    environment().client.waitFor<Entry>(reference, (one) => {
      const condition = conditionOf(one, type);
      return condition?.reason === 'HostKeyChanged' && says.every((part) => condition.message?.includes(part));
    });
  /** A fingerprint that nobody has is accepted: what is expected is told anew, and the key is refused as before. */
  async function acceptStranger(
    on: ReturnType<typeof machine>,
    told: ReturnType<typeof machine>,
    type: string,
    keys: string[],
  ): Promise<void> {
    const [before = '', now = ''] = keys;
    const stranger = await fingerprintOf(STRANGER);
    await accept(on, stranger);
    await waitForWords(told, type, changed(`${before} (ssh-ed25519), ${stranger}`, now));
  }

  sideBySide({
    'under a machine: it stays ready, and its host is cleaned once the key, and not another, is accepted': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      await client.applyAll(objects.explicit('rekeyed', CLUSTER, host, counting(), { cleanUpCommands }));
      const before = await fingerprintOf(host.hostPublicKey);
      expect((await reports.ready('rekeyed')).metadata.annotations).toMatchObject({ [PIN]: host.hostPublicKey });
      await reports.event('rekeyed', 'HostKeyPinned', 'RemoteMachine', [before]);
      await host.rekey();
      const now = await fingerprintOf(host.hostPublicKey);
      const logins = await loginsOf(host);

      await remove('rekeyed');
      const waiting = await reports.expect('rekeyed', refused('CleanedUp', changed(before, now)));
      expect(waiting.status).toMatchObject({ ready: true });
      await acceptStranger(machine('rekeyed'), machine('rekeyed'), 'CleanedUp', [before, now]);
      expect(await loginsOf(host)).toBe(logins);
      expect(await runsOf(host)).toBe(1);
      await accept(machine('rekeyed'), now);
      await client.waitForGone(machine('rekeyed'));
      await reports.event('rekeyed', 'HostKeyAccepted', 'RemoteMachine', [now]);
      expect(await runsOf(host)).toBe(0);
      expect(await host.exists('/var/lib/cluster-api-provider-remote/claim')).toBe(false);
    },

    'of a host that was installed anew between two machines: passed over, then refused, then a new host once it is accepted': async () => {
      const { client, createHosts } = environment();
      const [renewed, spare] = (await createHosts(2)) as [Host, Host];
      await client.applyAll([
        objects.entry('between-a', 'between', renewed, { cleanUpCommands }),
        objects.entry('between-b', 'between', spare, { cleanUpCommands }),
        ...pooled('first', 'between'),
      ]);
      const first = await reports.ready('first');
      expect(entryOf(first)).toBe('between-a');
      await remove('first');
      await client.waitForGone(machine('first'));
      await client.waitFor<Entry>(entry('between-a'), isFree);
      const before = renewed.hostPublicKey;
      await renewed.reimage();
      const [from, to] = [await fingerprintOf(before), await fingerprintOf(renewed.hostPublicKey)];

      await client.applyAll(pooled('second', 'between'));
      expect(entryOf(await reports.ready('second'))).toBe('between-b');
      await reports.event('second', 'HostKeyChanged', 'RemoteMachine', [from, to, 'going on with another host of the pool']);
      const free = await waitForWords(entry('between-a'), 'Reachable', changed(from, to));
      expect(conditionOf(free, 'Ready')).toMatchObject({ status: 'False', reason: 'HostKeyChanged' });
      expect(free.metadata.annotations).toMatchObject({ [PIN]: before });
      expect(free.status?.reserved).toBe(false);

      await client.applyAll(pooled('third', 'between'));
      await reports.expect('third', refused('HostReachable', changed(from, to)));
      await acceptStranger(entry('between-a'), machine('third'), 'HostReachable', [from, to]);
      expect(await loginsOf(renewed)).toBe(0);
      await accept(entry('between-a'), to);
      const third = await reports.ready('third');
      expect(entryOf(third)).toBe('between-a');
      expect(third.metadata.annotations).toMatchObject({ [PIN]: renewed.hostPublicKey });
      const machineID = (await renewed.readFile('/etc/machine-id')).trim();
      expect(third.status?.['host']).toMatchObject({ machineID, hostKey: to });
      expect((first.status?.['host'] as { machineID: string }).machineID).not.toBe(machineID);
      expect(await runsOf(renewed)).toBe(1);
      await reports.event('third', 'HostKeyAccepted', 'RemoteMachine', [to]);
      const pinned = await client.waitFor<Entry>(
        entry('between-a'),
        ({ metadata }) => metadata.annotations?.[PIN] === renewed.hostPublicKey,
      );
      expect(pinned.metadata.annotations).not.toHaveProperty([ACCEPT]);
    },

    'of a host that was installed anew under its machine: in quarantine when that goes, and a new, clean host once it is accepted':
      async () => {
        const { client, createHost } = environment();
        const host = await createHost();
        const metadata = { annotations: { [`${PREFIX}/cleanup-deadline`]: '1s' } };
        await client.applyAll([objects.entry('under', 'under', host, { cleanUpCommands }), ...pooled('former', 'under', metadata)]);
        await reports.ready('former');
        const before = await fingerprintOf(host.hostPublicKey);
        await host.reimage();
        const now = await fingerprintOf(host.hostPublicKey);

        await remove('former');
        await client.waitForGone(machine('former'));
        const quarantined = await waitForWords(entry('under'), 'Clean', changed(before, now));
        expect(conditionOf(quarantined, 'Ready')).toMatchObject({ status: 'False', reason: 'Quarantined' });
        await client.applyAll(pooled('latter', 'under'));
        await reports.expect('latter', {
          type: 'HostReserved',
          reason: 'WaitingForHost',
          says: ['pool "under"', '1 quarantined'],
          ready: 'Unknown',
        });
        const stranger = await fingerprintOf(STRANGER);
        await accept(entry('under'), stranger);
        await waitForWords(entry('under'), 'Clean', changed(`${before} (ssh-ed25519), ${stranger}`, now));
        expect(await loginsOf(host)).toBe(0);
        await accept(entry('under'), now);
        const latter = await reports.ready('latter');
        expect(latter.status?.['host']).toMatchObject({ hostKey: now });
        expect(await runsOf(host)).toBe(1);
        await reports.event('under', 'HostKeyAccepted', 'PooledRemoteMachine', [now]);
        expect((await client.get(entry('under'))).metadata.annotations).toMatchObject({ [PIN]: host.hostPublicKey });
      },
  });
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
