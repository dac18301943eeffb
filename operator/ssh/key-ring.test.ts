import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyRing } from './key-ring.ts';
import { parsePrivateKey } from './private-key.ts';
import { generateKey } from './testing/keys.ts';
import { SSHError } from './types.ts';

const PASSPHRASE = 'open sesame';
const directory = mkdtempSync(join(tmpdir(), 'key-ring-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** A ring that tells what it decrypts. */
function ring(): { keys: KeyRing; decrypted: string[] } {
  const decrypted: string[] = [];
  const keys = new KeyRing(async (text, passphrase, hop) => {
    decrypted.push(`${passphrase} for ${hop}`);
    return Promise.resolve(parsePrivateKey(text, passphrase, hop).getPrivatePEM());
  });
  return { keys, decrypted };
}

test.each(['ed25519', 'rsa', 'ecdsa'] as const)('%s with a passphrase is the key that it is without', async (type) => {
  const { privateKey } = generateKey(directory, { type, passphrase: PASSPHRASE });
  const direct = parsePrivateKey(privateKey, PASSPHRASE);
  const { keys, decrypted } = ring();
  const opened = await Promise.all(['a:22', 'b:22'].map((hop) => keys.read(privateKey, PASSPHRASE, hop)));
  expect(opened.map((key) => key.getPublicSSH().toString('base64'))).toEqual(Array(2).fill(direct.getPublicSSH().toString('base64')));
  expect(decrypted).toEqual([`${PASSPHRASE} for a:22`]);
});

test('one without a passphrase needs no decryption', async () => {
  const { privateKey } = generateKey(directory, {});
  const { keys, decrypted } = ring();
  expect((await keys.read(privateKey, '', 'a:22')).isPrivateKey()).toBe(true);
  expect(decrypted).toEqual([]);
});

test('a wrong passphrase is told for each hop, and another one is tried', async () => {
  const { privateKey } = generateKey(directory, { passphrase: PASSPHRASE });
  const { keys } = ring();
  for (const hop of ['a:22', 'b:22'])
    await expect(keys.read(privateKey, 'wrong', hop)).rejects.toMatchObject({ reason: 'WrongPassphrase', hop, constructor: SSHError });
  expect((await keys.read(privateKey, PASSPHRASE, 'a:22')).isPrivateKey()).toBe(true);
});

test('keys of few Secrets are remembered, the last used ones', async () => {
  const { privateKey } = generateKey(directory, { type: 'rsa', format: 'PEM', passphrase: PASSPHRASE });
  const decrypted: string[] = [];
  const keys = new KeyRing((text) => {
    decrypted.push(text);
    return Promise.resolve(parsePrivateKey(privateKey, PASSPHRASE).getPrivatePEM());
  });
  const texts = Array.from({ length: 64 }, (_, index) => `key ${index}`);
  for (const text of texts) await keys.read(text, PASSPHRASE, 'a:22');
  await keys.read('key 0', PASSPHRASE, 'a:22');
  await keys.read('another', PASSPHRASE, 'a:22');
  await keys.read('key 0', PASSPHRASE, 'a:22');
  await keys.read('key 1', PASSPHRASE, 'a:22');
  expect(decrypted.slice(64)).toEqual(['another', 'key 1']);
});
