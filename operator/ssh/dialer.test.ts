import { execFileSync } from 'node:child_process';
import { writeFileSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { SSHDialer } from './dialer.ts';
import { fingerprintOf } from './host-keys.ts';
import { generateKey } from './testing/keys.ts';
import type { KeyFiles, KeyOptions } from './testing/keys.ts';
import { TestSSHD } from './testing/sshd.ts';
import type { SSHDOptions } from './testing/sshd.ts';
import { SSHError } from './types.ts';
import type { ConnectOptions, Connection, HostKeyPolicy, Target } from './types.ts';

jest.setTimeout(30_000);

const signal = new AbortController().signal;
const OPTIONS: ConnectOptions = { signal, timeout: 10_000, keepalive: 10_000, legacyAlgorithms: false };
const dialer = new SSHDialer();
const servers: TestSSHD[] = [];
const start = async (options: SSHDOptions = {}): Promise<TestSSHD> => {
  const server = await TestSSHD.start(options);
  servers.push(server);
  return server;
};
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

/** Connects, runs a command and closes. */
const visit = async (target: Target, options: Partial<ConnectOptions> = {}): Promise<Connection> => {
  const connection = await dialer.connect(target, { ...OPTIONS, ...options });
  expect(await connection.exec({ privilege: 'plain', program: 'echo here', signal })).toEqual({
    exitCode: 0,
    stdout: 'here\n',
    stderr: '',
  });
  await connection.close();
  return connection;
};
const refusal = async (target: Target, options: Partial<ConnectOptions> = {}): Promise<SSHError> => {
  const error: unknown = await visit(target, options).then(
    () => new Error('it connected'),
    (reason: unknown) => reason,
  );
  if (error instanceof SSHError) return error;
  throw error as Error;
};
const keys = (...entries: string[]): HostKeyPolicy => ({ expected: { kind: 'keys', keys: entries }, trustOnFirstUse: false });
const fingerprint = (key: KeyFiles): string => fingerprintOf(key.publicKey)!;

let sshd: TestSSHD;
beforeAll(async () => {
  sshd = await start();
});

describe('client keys', () => {
  test.each<KeyOptions>([
    { type: 'ed25519' },
    { type: 'ed25519', passphrase: 'secret' },
    { type: 'ed25519', format: 'PKCS8' },
    { type: 'ed25519', format: 'PKCS8', passphrase: 'secret' },
    { type: 'ecdsa', bits: 256 },
    { type: 'ecdsa', bits: 384, format: 'PKCS8', passphrase: 'secret' },
    { type: 'ecdsa', bits: 521, format: 'PEM' },
    { type: 'rsa', bits: 2048 },
    { type: 'rsa', bits: 3072, format: 'PEM', passphrase: 'secret' },
    { type: 'rsa', bits: 2048, format: 'PKCS8', passphrase: 'secret' },
  ])('$type $bits $format $passphrase logs in', async (options) => {
    const key = generateKey(sshd.directory, options);
    sshd.authorize(key.publicKey);
    await visit(sshd.target({ privateKey: key.privateKey, ...(options.passphrase ? { passphrase: options.passphrase } : {}) }));
  });

  test('RSA signs with SHA-2, also where ssh-rsa would be taken', async () => {
    const server = await start({ config: ['PubkeyAcceptedAlgorithms +ssh-rsa', 'LogLevel DEBUG1'] });
    const key = generateKey(server.directory, { type: 'rsa', bits: 2048 });
    server.authorize(key.publicKey);
    await visit(server.target({ privateKey: key.privateKey }));
    expect(server.log).toMatch(/pkalg rsa-sha2-256 /);
    expect(server.log).not.toMatch(/pkalg ssh-rsa /);
  });

  test('SHA-1 signatures only with legacy algorithms', async () => {
    const old = await startWithoutExtensions(sshd.hostKeys[0]!.privateKey);
    const key = generateKey(sshd.directory, { type: 'rsa', bits: 2048 });
    const target = sshd.target({ port: old.port, privateKey: key.privateKey });
    const error = await refusal(target);
    expect(error.reason).toBe('AuthenticationFailed');
    expect(error.message).toMatch(/SHA-1.*legacy/);
    const connection = await dialer.connect(target, { ...OPTIONS, legacyAlgorithms: true });
    await connection.close();
    await old.stop();
  });

  test('a key that the server does not know, or a user that it does not', async () => {
    const other = generateKey(sshd.directory);
    const wrongKey = await refusal(sshd.target({ privateKey: other.privateKey }));
    expect(wrongKey).toMatchObject({ reason: 'AuthenticationFailed', hop: `127.0.0.1:${sshd.port}` });
    expect(wrongKey.message).toContain(`root@127.0.0.1:${sshd.port}`);
    expect(wrongKey.message).toContain(fingerprint(other));
    expect(await refusal(sshd.target({ user: 'nobody-here' }))).toMatchObject({ reason: 'AuthenticationFailed' });
  });

  test('the message says where keys are not taken at all, or not enough', async () => {
    const noKeys = await start({ config: ['PubkeyAuthentication no', 'PasswordAuthentication yes'] });
    expect((await refusal(noKeys.target())).message).toMatch(/takes no keys \(only password\)/);
    const both = await start({ config: ['AuthenticationMethods publickey,password', 'PasswordAuthentication yes'] });
    expect((await refusal(both.target())).message).toMatch(/also wants password/);
  });

  test('a bad key fails before anything is opened', async () => {
    expect(await refusal(sshd.target({ privateKey: 'hello', address: '::', port: 1 }))).toMatchObject({
      reason: 'InvalidPrivateKey',
      hop: '[::]:1',
    });
  });
});

describe('host keys', () => {
  const three: SSHDOptions = { hostKeys: [{ type: 'ed25519' }, { type: 'ecdsa' }, { type: 'rsa', bits: 2048 }] };

  test('the presented key is told', async () => {
    const connection = await visit(sshd.target({ hostKeys: { ...keys(), trustOnFirstUse: true } }));
    expect(connection.hostKey.publicKey).toBe(sshd.hostKeys[0]!.publicKey.replace(/ test$/, ''));
    await visit(sshd.target({ hostKeys: keys(connection.hostKey.publicKey) }));
  });

  test('without any that is known, every one is refused unless the first is trusted', async () => {
    const error = await refusal(sshd.target({ hostKeys: keys() }));
    expect(error).toMatchObject({ reason: 'HostKeyUnknown', presented: fingerprint(sshd.hostKeys[0]!) });
  });

  test('each known type is asked for, by key and by fingerprint', async () => {
    const server = await start(three);
    for (const key of server.hostKeys) {
      for (const entry of [key.publicKey, fingerprint(key)]) {
        const { hostKey } = await visit(server.target({ hostKeys: keys(entry) }));
        expect(hostKey.fingerprint).toBe(fingerprint(key));
      }
    }
  });

  test('a fingerprint that is none of the server’s: all its types are tried once, and named', async () => {
    const server = await start(three);
    const stranger = generateKey(server.directory, { type: 'rsa', bits: 2048 });
    const error = await refusal(server.target({ hostKeys: keys(fingerprint(stranger)) }));
    expect(error).toMatchObject({ reason: 'HostKeyChanged', presented: fingerprint(server.hostKeys[0]!) });
    for (const key of [stranger, ...server.hostKeys]) expect(error.message).toContain(fingerprint(key));
    expect([...server.log.matchAll(/Connection from/g)].length).toBeLessThanOrEqual(5);
    expect(server.log).not.toMatch(/Accepted publickey/);
  });

  test('a changed key is refused with both fingerprints and what to do', async () => {
    const server = await start();
    const target = server.target();
    await visit(target);
    const [before] = server.hostKeys;
    await server.rekey();
    const error = await refusal(target);
    const [now] = server.hostKeys;
    expect(error).toMatchObject({ reason: 'HostKeyChanged', hop: `127.0.0.1:${server.port}`, presented: fingerprint(now!) });
    expect(error.message).toContain(fingerprint(before!));
    expect(error.message).toContain(`infrastructure.cluster.x-k8s.io/accept-host-key=${fingerprint(now!)}`);
    await visit({ ...target, hostKeys: keys(fingerprint(now!)) });
  });

  test('known_hosts, also hashed', async () => {
    const path = join(sshd.directory, 'known_hosts');
    writeFileSync(path, `[127.0.0.1]:${sshd.port} ${sshd.hostKeys[0]!.publicKey}\n`);
    const policy = (): HostKeyPolicy => ({ expected: { kind: 'knownHosts', text: readFileSync(path, 'utf8') }, trustOnFirstUse: false });
    await visit(sshd.target({ hostKeys: policy() }));
    execFileSync('ssh-keygen', ['-q', '-H', '-f', path], { stdio: 'ignore' });
    await visit(sshd.target({ hostKeys: policy() }));
    expect(await refusal(sshd.target({ address: '127.0.0.2', hostKeys: policy() }))).toMatchObject({ reason: 'ConnectionRefused' });
    writeFileSync(path, `@cert-authority * ${sshd.hostKeys[0]!.publicKey}\n`);
    expect(await refusal(sshd.target({ hostKeys: policy() }))).toMatchObject({
      reason: 'HostKeyUnknown',
      message: expect.stringContaining('@cert-authority') as string,
    });
    writeFileSync(path, `@revoked * ${sshd.hostKeys[0]!.publicKey}\n`);
    expect((await refusal(sshd.target({ hostKeys: policy() }))).message).toMatch(/revoked/);
  });
});

describe('addresses', () => {
  test('a DNS name', async () => {
    await visit(sshd.target({ address: 'localhost' }));
  });

  test('IPv6', async () => {
    const server = await start({ address: '::1' });
    await visit(server.target());
    const known = `[::1]:${server.port} ${server.hostKeys[0]!.publicKey}`;
    await visit(server.target({ address: '0:0::1', hostKeys: { expected: { kind: 'knownHosts', text: known }, trustOnFirstUse: false } }));
    await server.stop();
    expect(await refusal(server.target())).toMatchObject({ reason: 'ConnectionRefused', hop: `[::1]:${server.port}` });
  });

  test('a name that does not exist', async () => {
    const error = await refusal(sshd.target({ address: 'no-such-host.invalid' }));
    expect(error).toMatchObject({ reason: 'AddressNotFound' });
    expect(error.message).toContain('no-such-host.invalid');
  });
});

describe('algorithms', () => {
  test.each<[string, string[]]>([
    ['key exchange', ['KexAlgorithms diffie-hellman-group14-sha1']],
    ['cipher', ['Ciphers aes128-cbc']],
    ['MAC', ['Ciphers aes128-ctr,aes128-cbc', 'MACs hmac-sha1']],
    ['host key', ['HostKeyAlgorithms ssh-rsa']],
  ])('an old %s only with legacy algorithms', async (_, config) => {
    const server = await start({ config, hostKeys: [{ type: 'rsa', bits: 2048 }] });
    expect(await refusal(server.target())).toMatchObject({
      reason: 'HandshakeFailed',
      message: expect.stringMatching(/shares no .*legacy/) as string,
    });
    await visit(server.target(), { legacyAlgorithms: true });
  });

  test('strict key exchange is in force, and legacy algorithms change nothing where modern ones are', async () => {
    const server = await start({ config: ['LogLevel DEBUG3'] });
    for (const legacyAlgorithms of [false, true]) await visit(server.target(), { legacyAlgorithms });
    expect([...server.log.matchAll(/will use strict KEX ordering/g)]).toHaveLength(2);
    expect([...server.log.matchAll(/kex: algorithm: curve25519-sha256 /g)]).toHaveLength(2);
    expect([...server.log.matchAll(/kex: client->server cipher: aes128-gcm@openssh.com /g)]).toHaveLength(2);
  });
});

describe('bastions', () => {
  let outer: TestSSHD;
  let inner: TestSSHD;
  beforeAll(async () => {
    outer = await start();
    inner = await start();
  });

  test('one, two and three hops', async () => {
    for (const bastions of [[outer.hop()], [outer.hop(), inner.hop()], [outer.hop(), inner.hop(), outer.hop()]]) {
      const { hostKey } = await visit(sshd.target({ bastions }));
      expect(hostKey.fingerprint).toBe(fingerprint(sshd.hostKeys[0]!));
    }
    await Promise.all([outer.idle(), inner.idle(), sshd.idle()]);
  });

  test('each has its own key and host key', async () => {
    expect(await refusal(sshd.target({ bastions: [outer.hop(), inner.hop({ privateKey: outer.clientKey.privateKey })] }))).toMatchObject({
      reason: 'AuthenticationFailed',
      hop: `127.0.0.1:${inner.port}`,
    });
    const changed = await refusal(sshd.target({ bastions: [outer.hop({ hostKeys: inner.hop().hostKeys })] }));
    expect(changed).toMatchObject({ reason: 'HostKeyChanged', hop: `127.0.0.1:${outer.port}` });
    expect(changed.message).toMatch(/bastion/);
  });

  test('host keys of a host behind a bastion are tried by type too', async () => {
    const server = await start({ hostKeys: [{ type: 'ed25519' }, { type: 'rsa', bits: 2048 }] });
    const { hostKey } = await visit(server.target({ bastions: [outer.hop()], hostKeys: keys(fingerprint(server.hostKeys[1]!)) }));
    expect(hostKey.type).toBe('ssh-rsa');
  });

  test('a bastion that does not forward', async () => {
    const closed = await start({ config: ['AllowTcpForwarding no'] });
    expect(await refusal(sshd.target({ bastions: [outer.hop(), closed.hop()] }))).toMatchObject({
      reason: 'ForwardingRefused',
      hop: `127.0.0.1:${closed.port}`,
      message: expect.stringMatching(/AllowTcpForwarding/) as string,
    });
  });

  test('a host that the bastion cannot reach is the host’s failure', async () => {
    const gone = await start();
    await gone.stop();
    const error = await refusal(gone.target({ bastions: [outer.hop()] }));
    expect(error).toMatchObject({ reason: 'ConnectionRefused', hop: `127.0.0.1:${gone.port}` });
    expect(error.message).toContain(`from the bastion 127.0.0.1:${outer.port}`);
    expect(await refusal(sshd.target({ address: 'no-such-host.invalid', bastions: [outer.hop()] }))).toMatchObject({
      reason: 'AddressNotFound',
    });
  });

  test('after any failure nothing stays open', async () => {
    const bastion = await start();
    const host = await start();
    await refusal(host.target({ bastions: [bastion.hop()], hostKeys: keys(sshd.hostKeys[0]!.publicKey) }));
    await refusal(host.target({ bastions: [bastion.hop()], user: 'nobody-here' }));
    await Promise.all([bastion.idle(), host.idle()]);
  });
});

/** A server that, like OpenSSH before 7.2, doesn't tell which signatures it takes (RFC 8308), and takes any key. */
async function startWithoutExtensions(hostKey: string): Promise<{ port: number; stop: () => Promise<void> }> {
  const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    client.on('authentication', (context) => context.accept());
  });
  server.on('connection', (client) => {
    const { _protocol: protocol } = client as unknown as { _protocol: { _kex: object | undefined } };
    let exchange: object | undefined;
    Object.defineProperty(protocol, '_kex', {
      get: () => exchange,
      set: (value?: object) => {
        exchange = value && Object.defineProperty(value, 'remoteExtInfoEnabled', { get: () => false, set: () => undefined });
      },
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, stop: () => new Promise((resolve) => server.close(() => resolve())) };
}
