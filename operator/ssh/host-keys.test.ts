import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { algorithmOffer } from './algorithms.ts';
import {
  expectationOf,
  fingerprintOf,
  hostKeyAlgorithms,
  hostKeyFromBuffer,
  matchHostKey,
  mayHaveAnotherType,
  validateHostKeys,
} from './host-keys.ts';
import type { HostKeyVerdict } from './host-keys.ts';
import { generateKey } from './testing/keys.ts';
import type { KeyFiles, KeyOptions } from './testing/keys.ts';
import type { ExpectedHostKeys, HostKey, HostKeyPolicy } from './types.ts';

const KINDS: KeyOptions[] = [
  { type: 'ed25519' },
  { type: 'ecdsa', bits: 256 },
  { type: 'ecdsa', bits: 384 },
  { type: 'ecdsa', bits: 521 },
  { type: 'rsa', bits: 2048 },
];
const directory = mkdtempSync(join(tmpdir(), 'host-keys-'));
const keys = KINDS.map((kind) => generateKey(directory, kind));
const [ed25519, ecdsa, , , rsa] = keys as [KeyFiles, KeyFiles, KeyFiles, KeyFiles, KeyFiles];
afterAll(() => rmSync(directory, { recursive: true }));

const blobOf = (key: KeyFiles): Buffer => Buffer.from(key.publicKey.split(' ')[1]!, 'base64');
const presented = (key: KeyFiles): HostKey => hostKeyFromBuffer(blobOf(key));
const fingerprint = (key: KeyFiles): string => presented(key).fingerprint;
const server = { address: 'host', port: 22 };
const judge = (expected: ExpectedHostKeys, key: KeyFiles, trustOnFirstUse = false): HostKeyVerdict =>
  matchHostKey(expectationOf({ expected, trustOnFirstUse }, server), presented(key));

test.each(keys.map((key) => [key.publicKey.split(' ')[0], key] as const))(
  '%s: type, fingerprint and line are as ssh-keygen has them',
  (type, key) => {
    const [, printed] = execFileSync('ssh-keygen', ['-l', '-f', `${key.path}.pub`], { encoding: 'utf8' }).split(' ');
    expect(presented(key)).toEqual({ type, fingerprint: printed, publicKey: key.publicKey.replace(/ test$/, '') });
    expect(fingerprintOf(key.publicKey)).toBe(printed);
    expect(fingerprintOf(`${printed}=`)).toBe(printed);
  },
);

describe('spec.hostKeys', () => {
  test.each<[string, (key: KeyFiles) => string]>([
    ['line', (key) => key.publicKey],
    ['line without comment', (key) => presented(key).publicKey],
    ['line with white space', (key) => `  ${key.publicKey}\r\n`],
    ['line with options', (key) => `no-pty,command="echo ssh-rsa hello" ${key.publicKey} and more`],
    ['fingerprint', fingerprint],
    ['padded fingerprint', (key) => `${fingerprint(key)}=`],
  ])('a %s accepts its key and no other', (_, entry) => {
    for (const key of keys) {
      const expected: ExpectedHostKeys = { kind: 'keys', keys: [entry(key)] };
      expect(validateHostKeys(expected.keys)).toEqual([]);
      for (const other of keys) expect(judge(expected, other)).toBe(other === key ? 'accepted' : 'changed');
    }
  });

  test('any of several will do', () => {
    const expected: ExpectedHostKeys = { kind: 'keys', keys: [ecdsa.publicKey, fingerprint(rsa)] };
    expect([ecdsa, rsa, ed25519].map((key) => judge(expected, key))).toEqual(['accepted', 'accepted', 'changed']);
  });

  test('with none, the first is trusted or every one refused', () => {
    expect(judge({ kind: 'keys', keys: [] }, rsa, true)).toBe('accepted');
    expect(judge({ kind: 'keys', keys: [] }, rsa, false)).toBe('unknown');
  });

  test('trust on first use does not weaken a known key', () => {
    expect(judge({ kind: 'keys', keys: [rsa.publicKey] }, ecdsa, true)).toBe('changed');
  });

  test.each<[string, RegExp]>([
    ['', /empty/],
    ['hello', /neither/],
    ['ssh-ed25519', /not a complete/],
    ['ssh-ed25519 AAAA', /not a complete/],
    ['ssh-ed25519 ****', /not a complete/],
    [presented(ed25519).publicKey.slice(0, -5), /not a complete/],
    [presented(rsa).publicKey.slice(0, 200), /not a complete/],
    [presented(ed25519).publicKey.replace('ssh-ed25519 ', 'ssh-rsa '), /not a complete/],
    ['SHA256:abc', /not a SHA256/],
    [`${fingerprint(rsa)}x`, /not a SHA256/],
    ['MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48', /MD5/],
    ['16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48', /MD5/],
    ['ssh-dss AAAAB3NzaC1kc3M=', /ssh-dss.*not supported/],
    ['ssh-ed25519-cert-v01@openssh.com AAAA', /cert.*not supported/],
    [`@cert-authority * ${ed25519.publicKey}`, /knownHostsRef/],
  ])('%j is a problem', (entry, problem) => {
    expect(validateHostKeys([ed25519.publicKey, entry])).toEqual([{ index: 1, problem: expect.stringMatching(problem) as string }]);
    expect(fingerprintOf(entry)).toBeUndefined();
  });

  test('nothing but the very key is accepted, whatever text stands there', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (entries) => judge({ kind: 'keys', keys: entries }, rsa, false) !== 'accepted'),
    );
    const line = presented(ed25519).publicKey;
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.constantFrom('A', 'B', 'a', 'b', '0', '1', '+', '/', ' '), (at, letter) => {
        const changed = line.slice(0, at) + letter + line.slice(at + 1);
        return changed === line || judge({ kind: 'keys', keys: [changed] }, ed25519) !== 'accepted';
      }),
    );
  });
});

describe('known_hosts', () => {
  const text = (...lines: string[]): ExpectedHostKeys => ({ kind: 'knownHosts', text: lines.join('\n') });

  test('accepts the lines of the host only', () => {
    const expected = text(`host ${rsa.publicKey}`, `other ${ecdsa.publicKey}`);
    expect([rsa, ecdsa].map((key) => judge(expected, key))).toEqual(['accepted', 'changed']);
  });

  test('a host without a line is unknown, even where others have one', () => {
    expect(judge(text(`other ${rsa.publicKey}`), rsa)).toBe('unknown');
    expect(judge(text(`other ${rsa.publicKey}`), rsa, true)).toBe('accepted');
  });

  test('a revoked key is refused, accepted elsewhere or not', () => {
    expect(judge(text(`host ${rsa.publicKey}`, `@revoked * ${rsa.publicKey}`), rsa)).toBe('revoked');
    expect(judge(text(`@revoked * ${rsa.publicKey}`), rsa, true)).toBe('revoked');
    expect(judge(text(`@revoked * ${rsa.publicKey}`), ecdsa, true)).toBe('accepted');
  });

  test('a certificate authority is no host key', () => {
    const policy: HostKeyPolicy = { expected: text(`@cert-authority * ${rsa.publicKey}`), trustOnFirstUse: false };
    const expectation = expectationOf(policy, server);
    expect(expectation.certificateAuthority).toBe(true);
    expect(matchHostKey(expectation, presented(rsa))).toBe('unknown');
  });
});

describe('the order of algorithms', () => {
  const { serverHostKey: offer } = algorithmOffer(false);
  const order = (entries: string[], refused: HostKey[] = []): string[] =>
    hostKeyAlgorithms(expectationOf({ expected: { kind: 'keys', keys: entries }, trustOnFirstUse: true }, server), offer, refused);

  test('is the offer where nothing, or no type, is known', () => {
    expect(order([])).toEqual(offer);
    expect(order([fingerprint(rsa)])).toEqual(offer);
  });

  test('begins with the types that are expected, all algorithms of RSA together', () => {
    expect(order([rsa.publicKey]).slice(0, 3)).toEqual(['rsa-sha2-512', 'rsa-sha2-256', 'ssh-ed25519']);
    expect(order([rsa.publicKey, ecdsa.publicKey]).slice(0, 3)).toEqual(['ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256']);
    expect(order([rsa.publicKey]).toSorted()).toEqual(offer.toSorted());
  });

  test('leaves out the types of refused keys', () => {
    expect(order([fingerprint(rsa)], [presented(ed25519), presented(rsa)])).toEqual([
      'ecdsa-sha2-nistp256',
      'ecdsa-sha2-nistp384',
      'ecdsa-sha2-nistp521',
    ]);
    expect(order([], keys.map(presented))).toEqual([]);
  });

  test('only a fingerprint leaves the type open', () => {
    const open = (entries: string[]): boolean =>
      mayHaveAnotherType(expectationOf({ expected: { kind: 'keys', keys: entries }, trustOnFirstUse: false }, server));
    expect([[rsa.publicKey], [rsa.publicKey, fingerprint(ecdsa)], []].map(open)).toEqual([false, true, false]);
  });
});
