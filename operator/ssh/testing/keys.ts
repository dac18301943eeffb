import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

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

/** Makes a key pair with ssh-keygen in `directory`. */
export function generateKey(directory: string, { type = 'ed25519', bits, format, passphrase = '' }: KeyOptions = {}): KeyFiles {
  const path = join(directory, `key-${randomUUID()}`);
  const options = [...(bits ? ['-b', String(bits)] : []), ...(format ? ['-m', format] : [])];
  execFileSync('ssh-keygen', ['-q', '-t', type, ...options, '-N', passphrase, '-C', 'test', '-f', path]);
  return { path, privateKey: readFileSync(path, 'utf8'), publicKey: readFileSync(`${path}.pub`, 'utf8').trim() };
}
