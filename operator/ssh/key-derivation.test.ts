import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { excessiveWork } from './key-derivation.ts';
import { parsePrivateKey } from './private-key.ts';
import { SSHError } from './types.ts';

const PASSPHRASE = 'correct horse';
const plain = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const encrypted = (...how: string[]): string =>
  execFileSync('openssl', ['pkcs8', '-topk8', '-passout', `pass:${PASSPHRASE}`, ...how], { input: plain, encoding: 'utf8' });

/** The key with other bytes (hexadecimal) in its parameters; writing it that way would take as long as reading it. */
function patched(key: string, from: string, to: string): string {
  const der = Buffer.from(key.replaceAll(/-----.*-----/g, ''), 'base64').toString('hex');
  expect(der).toContain(from);
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${Buffer.from(der.replace(from, to), 'hex').toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
}

const PBKDF2 = ['-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA256', '-iter'];
const OLD = ['-v1', 'PBE-SHA1-3DES', '-iter'];

test.each([
  ['PBKDF2 as OpenSSL writes it', encrypted(...PBKDF2, '2048')],
  ['PBKDF2 with as many iterations as guides say', encrypted(...PBKDF2, '1300000')],
  ['scrypt', encrypted('-scrypt')],
  ['scrypt with more of it', encrypted('-scrypt', '-scrypt_N', '16384', '-scrypt_r', '8', '-scrypt_p', '4')],
  ['the way before PBKDF2', encrypted(...OLD, '2048')],
])('%s is tried', (_, key) => {
  expect(excessiveWork(key)).toBeUndefined();
  expect(parsePrivateKey(key, PASSPHRASE).type).toBe('ssh-ed25519');
});

// 1048577 is 10 00 01.
const slow = patched(encrypted(...PBKDF2, '1048577'), '0203100001', '02037fffff');

test.each([
  ['PBKDF2', slow, 'more than 2000000 iterations'],
  ['the way before it', patched(encrypted(...OLD, '1048577'), '0203100001', '02037fffff'), 'more than 2000000 iterations'],
  ['scrypt', patched(encrypted('-scrypt'), '024000020108020101', '02400002010802017f'), 'more than 2097152 steps of scrypt'],
])('%s with absurd work is refused untried', (_, key, words) => {
  const before = performance.now();
  let error: unknown;
  try {
    parsePrivateKey(key, PASSPHRASE, 'host:22');
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(SSHError);
  expect(error).toMatchObject({ reason: 'InvalidPrivateKey' });
  expect((error as SSHError).message).toContain(`takes ${words}`);
  // With so many iterations OpenSSL takes seconds.
  expect(performance.now() - before).toBeLessThan(500);
});

test('lengths that are not given are seen through', () => {
  const der = Buffer.from(slow.replaceAll(/-----.*-----/g, ''), 'base64');
  for (let at = 0; at < 60; at++) {
    if (der[at] !== 0x30) continue;
    const length = der[at + 1] ?? 0;
    const open = Buffer.concat([der.subarray(0, at + 1), Buffer.from([0x80]), der.subarray(at + 2 + (length > 0x80 ? length - 0x80 : 0))]);
    expect(excessiveWork(open.toString('base64'))).toBe('more than 2000000 iterations');
  }
});

test('whatever the bytes are, reading them comes to an end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(99), (bytes, at) => {
      const der = Buffer.from(slow.replaceAll(/-----.*-----/g, ''), 'base64');
      der.set(bytes.subarray(0, der.length - at), at);
      for (const one of [der, Buffer.from(bytes)]) excessiveWork(one.toString('base64'));
    }),
    { numRuns: 300 },
  );
});
