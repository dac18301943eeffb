import { createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { ParsedKey } from 'ssh2';
import { excessiveWork } from './key-derivation.ts';
import { parseOpenSSHKey } from './openssh-key.ts';
import { SSHError } from './types.ts';

/** A private key that is ready to sign with; never printed. */
export type PrivateKey = ParsedKey;

/** What people paste instead of a private key, and what to do about it. */
const MISTAKES: [RegExp, string][] = [
  [/^$/, 'is empty'],
  [/^PuTTY-User-Key-File-/, 'is in PuTTY format: convert it with puttygen KEY -O private-openssh'],
  [/^[a-z0-9-]+-cert-v0[01]@openssh\.com /, 'is an OpenSSH certificate, which is not supported: give the private key itself'],
  [/^(ssh-|ecdsa-|sk-)\S+ AAAA/, 'is a public key: give the private key that belongs to it'],
  [/^-----BEGIN ([A-Z0-9]+ )*PUBLIC KEY-----/, 'is a public key: give the private key that belongs to it'],
  [/^---- BEGIN SSH2 PUBLIC KEY ----/, 'is a public key: give the private key that belongs to it'],
  [/^LS0tLS1CRUdJTi/, 'is encoded with base64 once more than a Secret asks for'],
];
const PEM = /-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----\n[\s\S]*?\n-----END \1-----/;
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];

/**
 * Reads a private key in OpenSSH, PEM (PKCS#1, SEC1) or PKCS#8 form, of type RSA, ECDSA (NIST curves) or Ed25519, plain or
 * encrypted. Line ends, indentation and a missing last newline are repaired.
 * @param hop `address:port`, for the error only.
 * @throws SSHError InvalidPrivateKey, PassphraseRequired or WrongPassphrase; its message never holds anything of the key.
 */
export function parsePrivateKey(text: string, passphrase?: string, hop = ''): PrivateKey {
  const invalid = (problem: string): SSHError => new SSHError('InvalidPrivateKey', hop, `The private key ${problem}.`);
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  const repaired = lines
    .map((line) => line.trim())
    .join('\n')
    .trim();
  const [block, label] = PEM.exec(repaired) ?? [];
  if (block === undefined || label === undefined) {
    const mistake = MISTAKES.find(([pattern]) => pattern.test(repaired));
    if (mistake) throw invalid(mistake[1]);
    throw invalid(
      /-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----/.test(repaired)
        ? 'is cut off: its END line or its line breaks are missing'
        : 'is none: it has no line like -----BEGIN OPENSSH PRIVATE KEY-----',
    );
  }
  const secret = passphrase === '' ? undefined : passphrase;
  if (label === 'OPENSSH PRIVATE KEY') return parseWithSSH2(block, secret, hop);
  return parseWithSSH2(toSSH2Form(parseWithOpenSSL(block, label, secret, hop), invalid), undefined, hop);
}

/** The same key, but refusing to sign with SHA-1, which ssh2 falls back to where an RSA key meets an old server. */
export function withoutSHA1(key: PrivateKey): PrivateKey {
  if (key.type !== 'ssh-rsa') return key;
  const sign = (data: Buffer, hash?: string): Buffer | Error =>
    hash === undefined || hash === 'sha1' ? new Error('SHA-1 signatures are not allowed') : key.sign(data, hash);
  return Object.create(key, { sign: { value: sign } }) as PrivateKey;
}

function passphraseError(reason: 'PassphraseRequired' | 'WrongPassphrase', hop: string): SSHError {
  return new SSHError(
    reason,
    hop,
    reason === 'PassphraseRequired'
      ? 'The private key is encrypted and there is no passphrase: put it into the Secret under the key "passphrase".'
      : 'The private key cannot be decrypted with the passphrase given.',
  );
}

function parseWithSSH2(block: string, passphrase: string | undefined, hop: string): PrivateKey {
  const invalid = (problem: string): SSHError => new SSHError('InvalidPrivateKey', hop, `The private key ${problem}.`);
  const key = parseOpenSSHKey(block, passphrase);
  if (key instanceof Error) {
    if (key.message.includes('no passphrase given')) throw passphraseError('PassphraseRequired', hop);
    // Only known words: in a damaged key, what stands where the type should be may be the secret.
    const token = /sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com$/.exec(key.message)?.[0];
    if (token !== undefined) throw invalid(`is of type ${token}, which needs a security key at hand: use Ed25519, ECDSA or RSA`);
    if (passphrase !== undefined && /integrity check|decrypt|authenticate/i.test(key.message))
      throw passphraseError('WrongPassphrase', hop);
    if (key.message.startsWith('Too many rounds'))
      throw invalid('is encrypted with too many rounds: write it anew with ssh-keygen -p -a 16');
    throw invalid('is damaged: its content cannot be read');
  }
  if (!key.isPrivateKey()) throw invalid('is a public key: give the private key that belongs to it');
  if (key.type === 'ssh-dss') throw invalid('is a DSA key, which no current SSH server accepts: use Ed25519, ECDSA or RSA');
  return key;
}

function parseWithOpenSSL(block: string, label: string, passphrase: string | undefined, hop: string): KeyObject {
  const encrypted = label.startsWith('ENCRYPTED') || block.includes('\nProc-Type: 4,ENCRYPTED');
  if (encrypted && passphrase === undefined) throw passphraseError('PassphraseRequired', hop);
  const excess = encrypted ? excessiveWork(block) : undefined;
  if (excess !== undefined)
    throw new SSHError('InvalidPrivateKey', hop, `The private key takes ${excess} to decrypt: write it anew with openssl pkcs8 -topk8.`);
  try {
    return createPrivateKey({ key: block, format: 'pem', ...(encrypted ? { passphrase } : {}) });
  } catch {
    // The cause is left out: OpenSSL's errors are of no help to people.
    if (encrypted) throw passphraseError('WrongPassphrase', hop);
    throw new SSHError('InvalidPrivateKey', hop, 'The private key is damaged: its content cannot be read.');
  }
}

/** ssh2 reads PKCS#1, SEC1 and OpenSSH's own format, but not PKCS#8. */
function toSSH2Form(key: KeyObject, invalid: (problem: string) => SSHError): string {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.export({ type: 'pkcs1', format: 'pem' }).toString();
    case 'ec': {
      const curve = key.asymmetricKeyDetails?.namedCurve ?? 'unknown';
      if (!CURVES.includes(curve))
        throw invalid(`is on the curve ${curve}, which SSH does not know: use Ed25519, ECDSA (P-256, P-384, P-521) or RSA`);
      return key.export({ type: 'sec1', format: 'pem' }).toString();
    }
    case 'ed25519':
      return ed25519InOpenSSHForm(key);
    default:
      throw invalid(`is of type ${key.asymmetricKeyType ?? 'unknown'}, which is not supported: use Ed25519, ECDSA or RSA`);
  }
}

/** OpenSSH's PROTOCOL.key: no encryption, one key. */
function ed25519InOpenSSHForm(key: KeyObject): string {
  const { x = '', d = '' } = key.export({ format: 'jwk' });
  const publicKey = Buffer.from(x, 'base64url');
  const type = field('ssh-ed25519');
  const check = Buffer.alloc(8); // two equal numbers
  const body = Buffer.concat([check, type, field(publicKey), field(Buffer.concat([Buffer.from(d, 'base64url'), publicKey])), field('')]);
  const padding = Buffer.from(Array.from({ length: (8 - (body.length % 8)) % 8 }, (_, i) => i + 1));
  const all = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'),
    field('none'),
    field(''),
    Buffer.from([0, 0, 0, 1]),
    field(Buffer.concat([type, field(publicKey)])),
    field(Buffer.concat([body, padding])),
  ]);
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${all.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;
}

/** RFC 4251's string: its length in four bytes, then its bytes. */
function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
