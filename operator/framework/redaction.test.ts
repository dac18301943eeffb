import fc from 'fast-check';
import { secretFilter } from './redaction.ts';

const certificateKey = 'e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204';
const pem = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----';

test.each([
  ['nothing known', [], 'plain text', 'plain text'],
  ['a known line inside a line', ['hunter2-hunter2'], 'pw=hunter2-hunter2!', 'pw=[redacted]!'],
  ['every occurrence', ['password'], 'password, password', '[redacted], [redacted]'],
  ['the longest one', ['password', 'password-of-root'], 'password-of-root', '[redacted]'],
  ['overlapping ones', ['abcdefghij', 'hijklmnopq'], '<abcdefghijklmnopq>', '<[redacted]>'],
  ['one that holds another', ['xxpasswordxx', 'password'], 'xxpasswordxx', '[redacted]'],
  ['each line of a secret, without indentation', ['  first-line\n\tsecond-line\r\n'], 'first-line second-line', '[redacted] [redacted]'],
  ['not the short ones', ['true', 'short'], 'true short', 'true short'],
  ['signs of regular expressions', ['a.b*c(d[e'], 'a.b*c(d[e aXb*c(d[e', '[redacted] aXb*c(d[e'],
  ['a kubeadm token', [], '--token abcdef.0123456789abcdef --x', '--token [redacted] --x'],
  ['not a longer word', [], 'abcdef.0123456789abcdefg', 'abcdef.0123456789abcdefg'],
  ['a certificate key', [], `key ${certificateKey}.`, 'key [redacted].'],
  ['not a longer number', [], `${certificateKey}00`, `${certificateKey}00`],
  ['a private key', [], `<${pem}>`, '<[redacted]>'],
  ['a private key in JSON', [], JSON.stringify({ pem }), '{"pem":"[redacted]"}'],
  ['a private key cut off', [], pem.slice(0, 45), '[redacted]'],
  ['the rest of a private key', [], pem.slice(20) + ' after', '[redacted] after'],
  ['not what comes before a private key', [], `before ${pem} after`, 'before [redacted] after'],
  ['not a certificate', [], '-----BEGIN CERTIFICATE-----', '-----BEGIN CERTIFICATE-----'],
])('%s', (_, secrets, text, expected) => expect(secretFilter(secrets)(text)).toBe(expected));

test('no secret is left, wherever it stands', () => {
  const secret = fc.string({ minLength: 8, maxLength: 20 }).filter((text) => text.trim() === text && !/[\r\n]/.test(text));
  fc.assert(
    fc.property(fc.array(secret, { minLength: 1, maxLength: 8 }), fc.array(fc.string()), (secrets, noise) => {
      const text = secrets.map((one, index) => `${noise[index] ?? ''}${one}`).join('');
      const filtered = secretFilter(secrets)(text).split('[redacted]').join('\n');
      for (const one of secrets) expect(filtered).not.toContain(one);
    }),
  );
});

test('2,000 secrets do not slow it down: a megabyte takes far less than a second', () => {
  const secrets = Array.from({ length: 2000 }, (_, index) => `line ${index} of the bootstrap data: ${(index * 7919).toString(36)}`);
  const line = 'Unpacking kubelet (1.35.0-1.1) over (1.34.2-1.1) ... line 12 of something else\n';
  const text = line.repeat(13_000) + secrets[1999]!;
  const filter = secretFilter(secrets);
  const start = performance.now();
  const filtered = filter(text);
  expect(performance.now() - start).toBeLessThan(1000);
  expect(filtered).toBe(line.repeat(13_000) + '[redacted]');
});
