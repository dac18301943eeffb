/** What was made, as Node.js' own reader and OpenSSL see it. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { selfSigned } from './self-signed.ts';

const openssl = (input: string, ...args: string[]) => spawnSync('openssl', args, { input, encoding: 'utf8' });

test('is signed by its own key, for a server with these names, for ten years', () => {
  const { cert, key } = selfSigned(['manager-0', 'localhost'], new Date('2026-05-01T12:00:00Z'));
  const certificate = new X509Certificate(cert);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect([certificate.subject, certificate.issuer]).toEqual(['CN=manager-0', 'CN=manager-0']);
  expect(certificate.subjectAltName).toBe('DNS:manager-0, DNS:localhost');
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect([certificate.validFrom, certificate.validTo]).toEqual(['Apr 30 12:00:00 2026 GMT', 'Apr 28 12:00:00 2036 GMT']);
  expect(certificate.ca).toBe(false);
});

test('OpenSSL reads all of it, and trusts it where it is told to', () => {
  const { cert } = selfSigned(['manager-0']);
  const { stdout, stderr } = openssl(cert, 'x509', '-noout', '-text');
  expect(stderr).toBe('');
  expect(stdout).toContain('Version: 3 (0x2)');
  expect(stdout).toMatch(/X509v3 Key Usage: *\n +Digital Signature\n/);
  expect(stdout).toMatch(/X509v3 Extended Key Usage: *\n +TLS Web Server Authentication\n/);
});

test('a date after 2049 is written as such', () => {
  const { cert } = selfSigned(['manager-0'], new Date('2045-01-01T00:00:00Z'));
  expect(new X509Certificate(cert).validTo).toBe('Dec 30 00:00:00 2054 GMT');
});

test('no two are the same', () => {
  const [one, two] = [selfSigned(['a']), selfSigned(['a'])].map(({ cert }) => new X509Certificate(cert).serialNumber);
  expect(one).toMatch(/^[4-7][0-9A-F]{31}$/);
  expect(one).not.toBe(two);
});
