/** Input that a person has to mend: each case is told by a condition and an Event, nothing is lost, and the machine goes on once it is mended. */
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { fingerprintOf } from '../fixtures/hosts.ts';
import { encrypted } from '../fixtures/keys.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { conditionOf } from '../fixtures/pool.ts';
import { errorsOf, type Report, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'bad';
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('bad-input');
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'bad-input', namespace, args: ['--ssh-connect-timeout=2s'] });
  await client.applyAll(objects.cluster(CLUSTER));
});

const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);
const secret = (name: string, stringData: Record<string, string>) => objects.secret(name, stringData);
const annotate = (reference: ReturnType<typeof machine>, annotations: Record<string, string>) =>
  environment().client.patch(reference, { metadata: { annotations } });

/** A machine with everything that it needs; `spec` has what is wrong with it. */
async function create(name: string, host: Host, spec: object = {}): Promise<void> {
  await environment().client.applyAll(objects.explicit(name, CLUSTER, host, counting(), { cleanUpCommands, ...spec }));
}

/** The machine that was mended went on by itself and ran once. */
async function goesOn(name: string, host: Host): Promise<void> {
  await reports.ready(name);
  expect(await runsOf(host)).toBe(1);
}

/** As a person mends a spec: the fields as they should be, null for one that should not be there. */
const setSpec = (name: string, spec: object) => environment().client.patch(machine(name), { spec });

describe('SSH keys', () => {
  const told = (reason: string, name: string, ...says: (string | RegExp)[]): Report => ({
    type: 'HostReachable',
    status: 'False',
    reason,
    says: [`Secret ${objects.namespace}/${name}`, ...says],
    ready: 'Unknown',
  });

  async function keyCase(name: string, wrong: Record<string, string> | undefined, reason: string, says: string): Promise<void> {
    const { client, createHost } = environment();
    const host = await createHost();
    const key = `${name}-secret`;
    if (wrong !== undefined) await client.apply(secret(key, wrong));
    await create(name, host, { sshKeyRef: { name: key } });
    await reports.expect(name, told(reason, key, says));
    await client.apply(secret(key, { value: host.privateKey }));
    await goesOn(name, host);
  }

  sideBySide({
    'a Secret that is not there': () => keyCase('no-secret', undefined, 'SecretNotFound', 'does not exist: create it'),
    'a Secret without the key value': () => keyCase('no-value', { key: 'x' }, 'SecretKeyMissing', 'has no key `value`: add it'),
    'a value that is no key': () => keyCase('no-key', { value: 'hello' }, 'InvalidPrivateKey', 'has no line like -----BEGIN'),
    'a public key': async () => {
      const value = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKMpjGSNm2jsPWyHfS8R me@here';
      await keyCase('public-key', { value }, 'InvalidPrivateKey', 'is a public key: give the private key');
    },
    'an encrypted key without its passphrase, with a wrong one, and with the right one': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      const value = await encrypted(host.privateKey, 'open sesame');
      await client.apply(secret('locked-secret', { value }));
      await create('locked', host, { sshKeyRef: { name: 'locked-secret' } });
      await reports.expect('locked', told('PassphraseRequired', 'locked-secret', 'under the key "passphrase"'));
      await client.apply(secret('locked-secret', { value, passphrase: 'open barley' }));
      await reports.expect('locked', told('WrongPassphrase', 'locked-secret', 'cannot be decrypted'));
      await client.apply(secret('locked-secret', { value, passphrase: 'open sesame' }));
      await goesOn('locked', host);
    },
  });
});

describe('the way to the host', () => {
  /** A spec that is wrong, what the machine says, and the fields that put it right. */
  async function specCase(
    name: string,
    wrong: (host: Host) => object,
    report: (host: Host) => Omit<Report, 'ready'>,
    right: (host: Host) => object,
  ): Promise<void> {
    const host = await environment().createHost();
    await create(name, host, wrong(host));
    await reports.expect(name, { ...report(host), ready: 'Unknown' });
    await setSpec(name, right(host));
    await goesOn(name, host);
  }
  const unreachable = (reason: string, ...says: (string | RegExp)[]) => ({
    type: 'HostReachable' as const,
    status: 'False' as const,
    reason,
    says,
  });

  sideBySide({
    'a user that the host does not know': () =>
      specCase(
        'wrong-user',
        () => ({ user: 'nobody-there' }),
        ({ address }) => unreachable('AuthenticationFailed', `nobody-there@${address}:22 refuses the key SHA256:`, 'authorized_keys'),
        () => ({ user: null }),
      ),
    'a port that nothing listens on': () =>
      specCase(
        'wrong-port',
        () => ({ port: 2 }),
        ({ address }) => unreachable('ConnectionRefused', `${address}:2 refused`, 'listens on port 2'),
        () => ({ port: null }),
      ),
    'an address that no host has': () => {
      const unused = `${environment().state.hosting?.network.prefix}.0.77`;
      return specCase(
        'wrong-address',
        () => ({ address: unused }),
        () => unreachable('ConnectTimeout', `No connection to ${unused}:22 within 2 s`, 'check that the host is up'),
        ({ address }) => ({ address }),
      );
    },
    'sudo that asks for a password': () =>
      specCase(
        'asking-sudo',
        () => ({ user: 'asks', useSudo: true }),
        ({ address }) => unreachable('SudoPasswordRequired', `asks@${address}:22`, 'NOPASSWD'),
        () => ({ user: 'admin' }),
      ),
    'a user without rights': () =>
      specCase(
        'no-rights',
        () => ({ user: 'plain' }),
        ({ address }) => ({
          type: 'BootstrapExecSucceeded',
          reason: 'HostNotWritable',
          says: [`Host ${address}:22: `, 'Permission denied', 'set useSudo'],
        }),
        () => ({ user: 'admin', useSudo: true }),
      ),
    'a host key in a form that is not taken': () =>
      specCase(
        'md5',
        () => ({ hostKeys: ['MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48'] }),
        () => unreachable('HostKeyUnknown', 'hostKeys[0] is an MD5 fingerprint'),
        ({ hostPublicKey }) => ({ hostKeys: [hostPublicKey] }),
      ),
    'known hosts without the host': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      const known = (text: string) => objects.configMap('known', { known_hosts: text });
      await client.apply(known(`elsewhere ${host.hostPublicKey}\n`));
      await create('unknown-host', host, { knownHostsRef: { kind: 'ConfigMap', name: 'known' } });
      const report = unreachable('HostKeyUnknown', `${host.address}:22 is unknown`, /presented SHA256:\S{43}/, 'add one to');
      await reports.expect('unknown-host', { ...report, ready: 'Unknown' });
      await client.apply(known(`${host.address} ${host.hostPublicKey}\n`));
      await goesOn('unknown-host', host);
    },
    'another host key than the spec names, until a person accepts it': async () => {
      const [host, other] = await environment().createHosts(2);
      if (host === undefined || other === undefined) throw new Error('no hosts');
      await create('other-key', host, { hostKeys: [other.hostPublicKey] });
      const [expected, presented] = [await fingerprintOf(other.hostPublicKey), await fingerprintOf(host.hostPublicKey)];
      const says = [`expected ${expected}`, `presented ${presented}`, `accept-host-key=${presented}`];
      await reports.expect('other-key', { ...unreachable('HostKeyChanged', ...says), ready: 'Unknown' });
      await annotate(machine('other-key'), { [`${PREFIX}/accept-host-key`]: presented });
      await goesOn('other-key', host);
      const { note } = await reports.event('other-key', 'HostKeyAccepted');
      expect(note).toContain('name it in the spec, too');
      // The spec is not ours to change: the acceptance stays.
      const { metadata } = await environment().client.get(machine('other-key'));
      expect(metadata.annotations).toMatchObject({ [`${PREFIX}/accept-host-key`]: presented });
      expect(metadata.annotations).not.toHaveProperty([`${PREFIX}/host-key`]);
    },
    'a pinned host key that changed, until a person accepts it; then the old one is refused': pinnedKeyChanges,
  });
});

async function pinnedKeyChanges(): Promise<void> {
  const { client, createHost } = environment();
  const host = await createHost();
  const pooled = (name: string) => [
    objects.bootstrapData(name, counting()),
    objects.machine(name, CLUSTER),
    objects.remoteMachine(name, { pool: 'pinned' }),
  ];
  await client.applyAll([
    objects.sshKey('pool-key', host),
    objects.entry('pinned', 'pinned', host, { cleanUpCommands }),
    ...pooled('first'),
  ]);
  const pin = { [`${PREFIX}/host-key`]: host.hostPublicKey };
  const hasPin = ({ metadata }: { metadata: { annotations?: Record<string, string> } }) =>
    metadata.annotations?.[`${PREFIX}/host-key`] === host.hostPublicKey;
  expect((await reports.ready('first')).metadata.annotations).toMatchObject(pin);
  await reports.event('first', 'HostKeyPinned');
  await client.waitFor(entry('pinned'), hasPin);
  await client.delete(objects.clusterRef('Machine', 'first'));
  await client.waitForGone(machine('first'));

  const old = await fingerprintOf(host.hostPublicKey);
  await host.exec('cp -a /etc/ssh /root/old-ssh');
  await host.rekey();
  await host.exec('cp -a /etc/ssh /root/new-ssh');
  await client.applyAll(pooled('second'));
  const presented = await fingerprintOf(host.hostPublicKey);
  const changed = (from: string, to: string) => ({
    reason: 'HostKeyChanged',
    says: [`expected ${from}`, `presented ${to}`],
    ready: 'Unknown' as const,
  });
  await reports.expect('second', { type: 'HostReachable', status: 'False', ...changed(old, presented) });
  await annotate(entry('pinned'), { [`${PREFIX}/accept-host-key`]: presented });
  await goesOn('second', host);
  await reports.event('second', 'HostKeyAccepted');
  expect((await client.get(machine('second'))).metadata.annotations).toMatchObject({ [`${PREFIX}/host-key`]: host.hostPublicKey });
  const repinned = await client.waitFor(entry('pinned'), hasPin);
  expect(repinned.metadata.annotations).not.toHaveProperty([`${PREFIX}/accept-host-key`]);

  const show = async (folder: string) => {
    await host.stopSSHD();
    await host.exec(`cp -a /root/${folder}/. /etc/ssh`);
    await host.startSSHD();
  };
  await show('old-ssh');
  await client.delete(objects.clusterRef('Machine', 'second'));
  await reports.expect('second', { type: 'CleanedUp', ...changed(presented, old) });
  await show('new-ssh');
  await client.waitForGone(machine('second'));
  await client.waitFor(entry('pinned'), ({ status }) => status?.['reserved'] === false);
}

describe('which host', () => {
  const reserved = (status: 'False' | 'Unknown', reason: string, ...says: (string | RegExp)[]): Report => ({
    type: 'HostReserved',
    status,
    reason,
    says,
    ready: status,
  });
  const withPoolKey = async () => {
    const host = await environment().createHost();
    await environment().client.apply(objects.sshKey('which-key', host));
    return host;
  };
  const entryOf = (name: string, pool: string, host: Host) => objects.entry(name, pool, host, { sshKeyRef: { name: 'which-key' } });

  sideBySide({
    'neither pool nor address': async () => {
      const host = await withPoolKey();
      await create('nowhere', host, { address: undefined });
      await reports.expect('nowhere', reserved('False', 'NoPoolOrAddress', 'Set spec.pool', 'spec.address'));
      await setSpec('nowhere', { address: host.address });
      await goesOn('nowhere', host);
    },
    'pool and address, and no entry of the pool has the address': async () => {
      const [host, other] = await Promise.all([withPoolKey(), withPoolKey()]);
      await environment().client.apply(entryOf('both-a', 'both', other));
      await create('both', host, { pool: 'both' });
      await reports.expect('both', reserved('False', 'AddressNotInPool', `${host.address}:22`, 'pool "both"'));
      await environment().client.apply(entryOf('both-b', 'both', host));
      await goesOn('both', host);
      expect(await runsOf(other)).toBe(0);
    },
    'a pool that is not there': async () => {
      const host = await withPoolKey();
      await create('no-pool', host, { address: undefined, pool: 'nowhere' });
      await reports.expect('no-pool', reserved('Unknown', 'NoSuchPool', 'pool "nowhere" of namespace'));
      await environment().client.apply(entryOf('somewhere', 'nowhere', host));
      await goesOn('no-pool', host);
    },
    'two entries with one host: the older one serves': async () => {
      const { client } = environment();
      const host = await withPoolKey();
      await client.apply(entryOf('twin-b', 'twins', host));
      // The API server's clock counts in seconds; within one the name decides.
      const elder = await client.waitFor(entry('twin-b'), ({ status }) => conditionOf({ status } as never, 'Ready')?.status === 'True');
      await client.apply(entryOf('twin-c', 'twins', host));
      const younger = await client.waitFor(entry('twin-c'), (one) => conditionOf(one, 'Ready')?.reason === 'DuplicateHost');
      expect(conditionOf(younger, 'Ready')).toMatchObject({ status: 'False' });
      expect(conditionOf(younger, 'Ready')?.message).toContain(`${objects.namespace}/${elder.metadata.name} has the same host`);
      await reports.event('twin-c', 'DuplicateHost', 'PooledRemoteMachine');
      await create('only', host, { address: undefined, pool: 'twins' });
      await goesOn('only', host);
      await create('surplus', host, { address: undefined, pool: 'twins' });
      await reports.expect('surplus', reserved('Unknown', 'WaitingForHost', 'pool "twins"', '1 reserved', '1 duplicate'));
    },
    'two machines with one host: the second waits for the first': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      await create('rival-a', host);
      await goesOn('rival-a', host);
      await create('rival-b', host);
      const first = `RemoteMachine ${objects.namespace}/rival-a has the same host ${host.address}:22`;
      await reports.expect('rival-b', reserved('Unknown', 'DuplicateHost', first));
      await client.delete(objects.clusterRef('Machine', 'rival-a'));
      await client.waitForGone(machine('rival-a'));
      await goesOn('rival-b', host);
    },
    'a provision job is refused, and the machine goes on without it': async () => {
      const host = await withPoolKey();
      await create('job', host, { provisionJob: { sshCommand: 'ssh' } });
      await reports.expect('job', reserved('False', 'ProvisionJobNotSupported', 'spec.provisionJob', 'remove it', 'sshKeyRef'));
      await setSpec('job', { provisionJob: null });
      await goesOn('job', host);
    },
  });
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
