/** Logging in: private keys of every kind and form, and the ways to be root. What is wrong with a key is in bad-input. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKey, type KeyOptions } from '../../operator/ssh/testing/keys.ts';
import type { Operator } from '../env/operator.ts';
import { fingerprintOf, mustExec, sshdLogOf } from '../fixtures/hosts.ts';
import { counting, Objects, runsOf } from '../fixtures/objects.ts';
import { errorsOf, type Report, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'keys';
const PASSPHRASE = 'öpen "sesame" $1';
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('ssh-keys');
const folder = mkdtempSync(join(tmpdir(), 'e2e-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'ssh-keys', namespace });
  await client.applyAll(objects.cluster(CLUSTER));
});

/** Each kind in each form that its tools write, and each form with a passphrase; private-key.test.ts has all of them. */
const KEYS: Record<string, KeyOptions & { begin: string }> = {
  'ed25519-openssh': { type: 'ed25519', passphrase: PASSPHRASE, begin: 'OPENSSH PRIVATE KEY' },
  'ed25519-pkcs8': { type: 'ed25519', format: 'PKCS8', begin: 'PRIVATE KEY' },
  'ed25519-pkcs8-encrypted': { type: 'ed25519', format: 'PKCS8', passphrase: PASSPHRASE, begin: 'ENCRYPTED PRIVATE KEY' },
  'ecdsa-256-openssh': { type: 'ecdsa', bits: 256, begin: 'OPENSSH PRIVATE KEY' },
  'ecdsa-256-sec1': { type: 'ecdsa', bits: 256, format: 'PEM', passphrase: PASSPHRASE, begin: 'EC PRIVATE KEY' },
  'ecdsa-256-pkcs8': { type: 'ecdsa', bits: 256, format: 'PKCS8', begin: 'PRIVATE KEY' },
  'ecdsa-384-openssh': { type: 'ecdsa', bits: 384, passphrase: PASSPHRASE, begin: 'OPENSSH PRIVATE KEY' },
  'ecdsa-384-sec1': { type: 'ecdsa', bits: 384, format: 'PEM', begin: 'EC PRIVATE KEY' },
  'ecdsa-384-pkcs8': { type: 'ecdsa', bits: 384, format: 'PKCS8', passphrase: PASSPHRASE, begin: 'ENCRYPTED PRIVATE KEY' },
  'ecdsa-521-openssh': { type: 'ecdsa', bits: 521, begin: 'OPENSSH PRIVATE KEY' },
  'ecdsa-521-sec1': { type: 'ecdsa', bits: 521, format: 'PEM', passphrase: PASSPHRASE, begin: 'EC PRIVATE KEY' },
  'ecdsa-521-pkcs8': { type: 'ecdsa', bits: 521, format: 'PKCS8', begin: 'PRIVATE KEY' },
  'rsa-openssh': { type: 'rsa', bits: 3072, passphrase: PASSPHRASE, begin: 'OPENSSH PRIVATE KEY' },
  'rsa-pkcs1': { type: 'rsa', bits: 2048, format: 'PEM', passphrase: PASSPHRASE, begin: 'RSA PRIVATE KEY' },
  'rsa-pkcs8': { type: 'rsa', bits: 2048, format: 'PKCS8', begin: 'PRIVATE KEY' },
};

/** A host that lets in this key alone, and says what the client signs with. Ours may sign with SHA-1 wherever it would. */
async function logsIn(name: string, { begin, ...options }: KeyOptions & { begin: string }): Promise<void> {
  const { client, createHost } = environment();
  const { privateKey, publicKey } = generateKey(folder, options);
  expect(privateKey).toMatch(new RegExp(`^-----BEGIN ${begin}-----\n`));
  const sshdConfig = 'LogLevel DEBUG1\nPubkeyAcceptedAlgorithms +ssh-rsa';
  const host = await createHost({ authorizedKeys: [publicKey], sshdConfig });
  const { passphrase } = options;
  await client.applyAll([
    ...objects.explicit(name, CLUSTER, host, counting(), { cleanUpCommands, sshKeyRef: { name: `${name}-secret` } }),
    objects.secret(`${name}-secret`, { value: privateKey, ...(passphrase !== undefined && { passphrase }) }),
  ]);
  await reports.ready(name);
  expect(await runsOf(host)).toBe(1);
  const log = await sshdLogOf(host);
  expect(log).toContain(` ssh2: ${options.type?.toUpperCase()} ${await fingerprintOf(publicKey)}`);
  if (options.type !== 'rsa') return;
  expect(log).toMatch(/pkalg rsa-sha2-(256|512) /);
  expect(log).not.toMatch(/pkalg ssh-rsa /);
}

describe('a private key', () => {
  sideBySide({
    ...Object.fromEntries(Object.entries(KEYS).map(([name, options]) => [name, () => logsIn(name, options)])),
    'RSA, on a host that takes no SHA-1': async () => {
      const { client, createHost } = environment();
      const { privateKey, publicKey } = generateKey(folder, { type: 'rsa', bits: 2048, format: 'PEM' });
      const host = await createHost({ authorizedKeys: [publicKey], sshdConfig: 'PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512' });
      await client.applyAll([
        ...objects.explicit('sha2', CLUSTER, host, counting(), { cleanUpCommands, sshKeyRef: { name: 'sha2-secret' } }),
        objects.secret('sha2-secret', { value: privateKey }),
      ]);
      await reports.ready('sha2');
      expect(await runsOf(host)).toBe(1);
    },
    'that is changed in its Secret is the one of the next connection': async () => {
      const { client, createHost } = environment();
      const [before, after] = [generateKey(folder), generateKey(folder)];
      const host = await createHost({ authorizedKeys: [before.publicKey] });
      await client.applyAll([
        ...objects.explicit('rotated', CLUSTER, host, counting(), { cleanUpCommands, sshKeyRef: { name: 'rotated-secret' } }),
        objects.secret('rotated-secret', { value: before.privateKey }),
      ]);
      await reports.ready('rotated');
      await host.exec('cat >/etc/ssh/authorized_keys/root', { input: `${after.publicKey}\n` });
      await client.apply(objects.secret('rotated-secret', { value: after.privateKey }));
      await client.delete(objects.clusterRef('Machine', 'rotated'));
      await client.waitForGone(objects.ref('RemoteMachine', 'rotated'));
      expect(await runsOf(host)).toBe(0);
      expect(await sshdLogOf(host)).toContain(await fingerprintOf(after.publicKey));
    },
  });
});

/** Asking for a password, and a user without sudo, are in bad-input. */
describe('sudo', () => {
  async function sudoCase(
    name: string,
    prepare: string,
    told: Partial<Report> & Pick<Report, 'reason' | 'says'>,
    mend: string,
  ): Promise<void> {
    const { client, createHost } = environment();
    const host = await createHost();
    await mustExec(host, prepare);
    const spec = { user: 'admin', useSudo: true, cleanUpCommands };
    await client.applyAll(objects.explicit(name, CLUSTER, host, counting(), spec));
    await reports.expect(name, { type: 'HostReachable', status: 'False', ready: 'Unknown', ...told });
    expect(await runsOf(host)).toBe(0);
    await mustExec(host, mend);
    await reports.ready(name);
    expect(await runsOf(host)).toBe(1);
    expect(await host.stat('/etc/e2e/config')).toMatchObject({ owner: 'root', group: 'root' });
    await client.delete(objects.clusterRef('Machine', name));
    await client.waitForGone(objects.ref('RemoteMachine', name));
    expect(await runsOf(host)).toBe(0);
  }
  sideBySide({
    'that is not installed is told; installed, it does': () =>
      sudoCase(
        'no-sudo',
        'mv /usr/bin/sudo /usr/bin/not-sudo',
        { reason: 'SudoUnavailable', says: ['sudo is not installed on admin@', 'install it, or log in as root without useSudo'] },
        'mv /usr/bin/not-sudo /usr/bin/sudo',
      ),
    'that runs commands in a terminal of their own does, as is its default since 1.9.14; one that asks for a terminal is told': () =>
      sudoCase(
        'terminal',
        `printf 'Defaults use_pty\\nDefaults requiretty\\n' >/etc/sudoers.d/terminal && chmod 0440 /etc/sudoers.d/terminal`,
        { reason: 'SudoUnavailable', says: ['sudo on admin@', 'wants a terminal', 'requiretty'] },
        `echo 'Defaults use_pty' >/etc/sudoers.d/terminal`,
      ),
    'that may run only some commands is told': () =>
      sudoCase(
        'some',
        `echo 'admin ALL=(ALL) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/admin`,
        { reason: 'SudoPasswordRequired', says: ['sudo on admin@', 'does not run without a password', 'NOPASSWD'] },
        `echo 'admin ALL=(root) NOPASSWD: /bin/sh -s' >/etc/sudoers.d/admin`,
      ),
  });
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
