import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostKeyFromBuffer } from '../host-keys.ts';

export interface KeyOptions {
  type?: 'ed25519' | 'ecdsa' | 'rsa';
  bits?: number;
  /** ssh-keygen's -m: OpenSSH's own format where not set. */
  format?: 'PEM' | 'PKCS8';
  passphrase?: string;
}

export interface KeyFiles {
  path: string;
  privateKey: string;
  /** One line without line end. */
  publicKey: string;
}

/** Makes a key pair in `directory`, with ssh-keygen or where that can't, with OpenSSL. */
export function generateKey(directory: string, { type = 'ed25519', bits, format, passphrase = '' }: KeyOptions = {}): KeyFiles {
  const path = join(directory, `key-${randomUUID()}`);
  // ssh-keygen writes Ed25519 in its own format whatever it is asked for.
  if (type === 'ed25519' && format === 'PKCS8') return generateEd25519InPKCS8(path, passphrase);
  const options = [...(bits ? ['-b', String(bits)] : []), ...(format ? ['-m', format] : [])];
  execFileSync('ssh-keygen', ['-q', '-t', type, ...options, '-N', passphrase, '-C', 'test', '-f', path]);
  return { path, privateKey: readFileSync(path, 'utf8'), publicKey: readFileSync(`${path}.pub`, 'utf8').trim() };
}

function generateEd25519InPKCS8(path: string, passphrase: string): KeyFiles {
  const encryption = passphrase === '' ? [] : ['-aes-256-cbc', '-pass', 'stdin'];
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', ...encryption, '-out', path], { input: passphrase });
  const decryption = passphrase === '' ? [] : ['-passin', 'stdin'];
  const der = execFileSync('openssl', ['pkey', '-in', path, ...decryption, '-pubout', '-outform', 'DER'], { input: passphrase });
  const field = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  // The last 32 bytes of RFC 8410's form are the key; SSH's is that of RFC 8709.
  const { publicKey } = hostKeyFromBuffer(Buffer.concat([field(Buffer.from('ssh-ed25519')), field(der.subarray(-32))]));
  writeFileSync(`${path}.pub`, `${publicKey}\n`);
  return { path, privateKey: readFileSync(path, 'utf8'), publicKey };
}
