import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parsePrivateKey, withoutSHA1 } from './private-key.ts';
import { generateKey } from './testing/keys.ts';
import type { KeyOptions } from './testing/keys.ts';
import { SSHError } from './types.ts';

const directory = mkdtempSync(join(tmpdir(), 'private-key-'));
afterAll(() => rmSync(directory, { recursive: true }));

const PASSPHRASE = 'correct horse';
const KINDS: KeyOptions[] = [
  { type: 'ed25519' },
  { type: 'ecdsa', bits: 256 },
  { type: 'ecdsa', bits: 384 },
  { type: 'ecdsa', bits: 521 },
  { type: 'rsa', bits: 2048 },
];
const FORMATS: KeyOptions[] = [{}, { format: 'PEM' }, { format: 'PKCS8' }];
// ssh-keygen writes Ed25519 in its own format where it is asked for PEM.
const CASES = KINDS.flatMap((kind) =>
  FORMATS.flatMap((format) => ['', PASSPHRASE].map((passphrase) => ({ ...kind, ...format, passphrase }))),
);
const plain = generateKey(directory);
const encrypted = generateKey(directory, { passphrase: PASSPHRASE });
const rsaPEM = generateKey(directory, { type: 'rsa', bits: 2048, format: 'PEM' });

const encryptedPEM = generateKey(directory, { type: 'rsa', bits: 2048, format: 'PEM', passphrase: PASSPHRASE });

const blobOf = (publicKey: string): string => publicKey.split(' ')[1]!;
const errorOf = (text: string, passphrase?: string): SSHError => {
  try {
    parsePrivateKey(text, passphrase, 'host:22');
  } catch (error) {
    if (error instanceof SSHError) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

describe.each(CASES)('$type $bits $format with passphrase "$passphrase"', (options) => {
  const key = generateKey(directory, options);

  test('is read', () => {
    expect(parsePrivateKey(key.privateKey, options.passphrase).getPublicSSH().toString('base64')).toBe(blobOf(key.publicKey));
  });

  test('needs its passphrase', () => {
    if (options.passphrase === '') {
      expect(parsePrivateKey(key.privateKey, 'not needed').isPrivateKey()).toBe(true);
      return;
    }
    expect(errorOf(key.privateKey)).toMatchObject({ reason: 'PassphraseRequired', hop: 'host:22' });
    expect(errorOf(key.privateKey, '')).toMatchObject({ reason: 'PassphraseRequired' });
    expect(errorOf(key.privateKey, 'wrong')).toMatchObject({ reason: 'WrongPassphrase' });
  });
});

test.each([
  ['ed25519', generateKeyPairSync('ed25519')],
  ['P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
] as const)('%s in PKCS#8, plain and encrypted, signs what its public half verifies', (_, pair) => {
  const forms = [
    pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    pair.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSPHRASE }),
  ];
  for (const form of forms) {
    const key = parsePrivateKey(form.toString(), PASSPHRASE);
    const hash = key.type === 'ssh-rsa' ? 'sha256' : undefined;
    expect(key.verify(Buffer.from('data'), key.sign(Buffer.from('data'), hash), hash)).toBe(true);
    expect(key.getPublicPEM().replaceAll(/\s/g, '')).toBe(
      pair.publicKey.export({ type: 'spki', format: 'pem' }).toString().replaceAll(/\s/g, ''),
    );
  }
});

test.each<[string, (text: string) => string]>([
  ['CRLF line ends', (text) => text.replaceAll('\n', '\r\n')],
  ['CR line ends', (text) => text.replaceAll('\n', '\r')],
  ['no last newline', (text) => text.trim()],
  ['indentation', (text) => text.replaceAll(/^/gm, '    ')],
  ['a byte order mark', (text) => `\uFEFF${text}`],
  ['text around it', (text) => `Bag Attributes\n  x: y\n${text}\nand more\n`],
])('%s are repaired', (_, spoil) => {
  for (const key of [plain, rsaPEM])
    expect(parsePrivateKey(spoil(key.privateKey)).getPublicSSH().toString('base64')).toBe(blobOf(key.publicKey));
  expect(parsePrivateKey(spoil(encrypted.privateKey), PASSPHRASE).isPrivateKey()).toBe(true);
});

test('the parameters that openssl ecparam writes before the key are passed over', () => {
  const text = execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(text).toMatch(/BEGIN EC PARAMETERS/);
  expect(parsePrivateKey(text).type).toBe('ecdsa-sha2-nistp256');
});

describe('what is no usable private key is named', () => {
  const pem = (type: 'pkcs8', key: ReturnType<typeof generateKeyPairSync>): string =>
    key.privateKey.export({ type, format: 'pem' }).toString();
  const putty = join(directory, 'putty.ppk');
  execFileSync('puttygen', [plain.path, '-O', 'private', '-o', putty]);
  const dsa = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 });

  test.each<[string, string, RegExp]>([
    ['nothing', '', /empty/],
    ['white space', ' \n\t\n', /empty/],
    ['something', 'hello', /is none/],
    ['a public key', plain.publicKey, /public key/],
    ['a PEM public key', generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString(), /public key/],
    ['a PuTTY key', readFileSync(putty, 'utf8'), /puttygen/],
    ['a certificate', 'ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1', /certificate/],
    ['a DSA key in PKCS#8', pem('pkcs8', dsa), /dsa, which is not supported/],
    ['an Ed448 key', pem('pkcs8', generateKeyPairSync('ed448')), /ed448/],
    ['another curve', pem('pkcs8', generateKeyPairSync('ec', { namedCurve: 'secp256k1' })), /secp256k1/],
    ['base64 of a key', Buffer.from(plain.privateKey).toString('base64'), /once more/],
    ['one without its end', plain.privateKey.slice(0, 200), /cut off/],
    ['one without line breaks', plain.privateKey.replaceAll('\n', ' '), /cut off/],
    ['one with a hole', plain.privateKey.replace(/\n.{40}/, '\n'), /damaged/],
    ['an OpenSSL key with a hole', rsaPEM.privateKey.replace(/\n.{40}/, '\n'), /damaged/],
  ])('%s', (_, text, words) => {
    const error = errorOf(text);
    expect(error.reason).toBe('InvalidPrivateKey');
    expect(error.message).toMatch(words);
  });

  test('a DSA key of ssh-keygen', () => {
    const path = join(directory, 'dsa');
    execFileSync('ssh-keygen', ['-q', '-t', 'dsa', '-N', '', '-f', path]);
    expect(errorOf(readFileSync(path, 'utf8')).message).toMatch(/DSA/);
  });

  test('a security key', () => {
    // The public half says its type; no token is at hand to make a real one.
    const type = 'sk-ssh-ed25519@openssh.com';
    const field = (bytes: string | Buffer): Buffer =>
      Buffer.concat([Buffer.from([0, 0, 0, Buffer.byteLength(bytes)]), Buffer.from(bytes as string)]);
    const inner = Buffer.concat([Buffer.alloc(8), field(type), field(Buffer.alloc(32))]);
    const body = Buffer.concat([
      Buffer.from('openssh-key-v1\0'),
      field('none'),
      field('none'),
      field(''),
      Buffer.from([0, 0, 0, 1]),
      field(field(type)),
      field(inner),
    ]);
    const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
    expect(errorOf(text).message).toMatch(/sk-ssh-ed25519@openssh.com, which needs/);
  });
});

test('no error ever holds a piece of the key or the passphrase', () => {
  const lines = [...encryptedPEM.privateKey.split('\n'), ...plain.privateKey.split('\n')].filter(
    (line) => line.length > 20 && !line.startsWith('-----'),
  );
  fc.assert(
    fc.property(fc.constantFrom(plain, rsaPEM, encryptedPEM), fc.nat(), fc.nat(200), fc.string(), ({ privateKey }, at, length, rubbish) => {
      const start = at % privateKey.length;
      try {
        parsePrivateKey(privateKey.slice(0, start) + rubbish + privateKey.slice(start + length), 'secret passphrase');
      } catch (error) {
        expect(error).toBeInstanceOf(SSHError);
        const { message, cause } = error as SSHError;
        expect(cause).toBeUndefined();
        expect(message).not.toContain('secret passphrase');
        expect(lines.filter((line) => message.includes(line.slice(0, 20)))).toEqual([]);
      }
    }),
    { numRuns: 60 },
  );
});

test('an encrypted key is not decrypted where that would take very long', () => {
  const key = encrypted.privateKey;
  const header = Buffer.from(key.replaceAll(/-----.*-----/g, ''), 'base64');
  // magic, "aes256-ctr", "bcrypt", then the options: a salt of 16 bytes and the rounds.
  header.writeUInt32BE(0x7fffffff, 15 + 14 + 10 + 4 + 4 + 16);
  const slow = `-----BEGIN OPENSSH PRIVATE KEY-----\n${header.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
  expect(errorOf(slow, PASSPHRASE).message).toMatch(/too many rounds/);
});

test('an RSA key can be kept from SHA-1, others stay as they are', () => {
  const key = withoutSHA1(parsePrivateKey(rsaPEM.privateKey));
  const data = Buffer.from('data');
  expect(key.sign(data, 'sha1')).toBeInstanceOf(Error);
  expect(key.sign(data)).toBeInstanceOf(Error);
  expect(key.verify(data, key.sign(data, 'sha512'), 'sha512')).toBe(true);
  const other = parsePrivateKey(plain.privateKey);
  expect(withoutSHA1(other)).toBe(other);
});
