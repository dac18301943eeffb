import type { Algorithms, CipherAlgorithm, KexAlgorithm, MacAlgorithm, ServerHostKeyAlgorithm } from 'ssh2';

/**
 * OpenSSH 9's default offer (ssh_config(5)), as far as ssh2 has it. Two orders differ: AES-GCM is before the others because
 * Node has it natively, and the SHA-1 MACs that OpenSSH still accepts are only in the legacy addition. ssh2 adds
 * `ext-info-c` and `kex-strict-c-v00@openssh.com` (the Terrapin countermeasure) by itself.
 */
const MODERN = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group-exchange-sha256',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256',
  ] satisfies KexAlgorithm[],
  serverHostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ] as ServerHostKeyAlgorithm[],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
    'chacha20-poly1305@openssh.com',
  ] satisfies CipherAlgorithm[],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'] satisfies MacAlgorithm[],
};

/** What OpenSSH disabled over the years; offered after the modern ones, so that a modern server never gets to use them. */
const LEGACY = {
  kex: ['diffie-hellman-group-exchange-sha1', 'diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'] satisfies KexAlgorithm[],
  serverHostKey: ['ssh-rsa'] as ServerHostKeyAlgorithm[],
  cipher: ['aes128-cbc', 'aes192-cbc', 'aes256-cbc', '3des-cbc'] satisfies CipherAlgorithm[],
  hmac: ['hmac-sha1-etm@openssh.com', 'hmac-sha1'] satisfies MacAlgorithm[],
};

export type AlgorithmOffer = typeof MODERN & Algorithms;

/** The algorithms to offer. Compression is never: it costs CPU, and little is sent. */
export function algorithmOffer(legacy: boolean): AlgorithmOffer {
  const list = <K extends keyof typeof MODERN>(kind: K): (typeof MODERN)[K] =>
    (legacy ? [...MODERN[kind], ...LEGACY[kind]] : [...MODERN[kind]]) as (typeof MODERN)[K];
  return { kex: list('kex'), serverHostKey: list('serverHostKey'), cipher: list('cipher'), hmac: list('hmac'), compress: ['none'] };
}

/** The type of key that a host key algorithm signs with: RSA keys have three algorithms (RFC 8332). */
export function keyTypeOf(algorithm: string): string {
  return algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm;
}
