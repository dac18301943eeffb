import { createHash } from 'node:crypto';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { keyTypeOf } from './algorithms.ts';
import { knownHostsLines } from './known-hosts.ts';
import type { Named } from './known-hosts.ts';
import type { HostKey, HostKeyPolicy } from './types.ts';

/** A host key that is accepted; its type is not known where only its fingerprint is. */
export interface ExpectedKey {
  fingerprint: string;
  type: string | undefined;
}

/** A HostKeyPolicy worked out for one server. */
export interface Expectation {
  keys: ExpectedKey[];
  /** Fingerprints that known_hosts marks @revoked. */
  revoked: string[];
  /** Whether known_hosts names a certificate authority for the server. */
  certificateAuthority: boolean;
  trustOnFirstUse: boolean;
}

/** `changed`: other keys are expected. `unknown`: nothing is known of the server, and it is not to be trusted blindly. */
export type HostKeyVerdict = 'accepted' | 'changed' | 'revoked' | 'unknown';

const KEY_TYPES = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa'];

/** A host key from the blob that the server sent (RFC 4253, section 6.6). */
export function hostKeyFromBuffer(blob: Buffer): HostKey {
  const type = blobType(blob) ?? 'unknown';
  return { type, fingerprint: fingerprintOfBlob(blob), publicKey: `${type} ${blob.toString('base64')}` };
}

/**
 * The fingerprint of anything that may stand in spec.hostKeys: a public key line or a fingerprint with or without padding.
 * `SHA256:` and unpadded base64; undefined where `entry` is neither.
 */
export function fingerprintOf(entry: string): string | undefined {
  const parsed = parseEntry(entry);
  return 'problem' in parsed ? undefined : parsed.fingerprint;
}

/** What is wrong with spec.hostKeys, in words that follow `hostKeys[index] `. Empty where all can be used. */
export function validateHostKeys(keys: string[]): { index: number; problem: string }[] {
  return keys.flatMap((key, index) => {
    const parsed = parseEntry(key);
    return 'problem' in parsed ? [{ index, problem: parsed.problem }] : [];
  });
}

/** Works a policy out for one server. Entries that can't be used are left out: see validateHostKeys. */
export function expectationOf(policy: HostKeyPolicy, server: Named): Expectation {
  const { expected, accepted = [], trustOnFirstUse } = policy;
  if (expected.kind === 'keys') {
    return { keys: usable([...expected.keys, ...accepted]), revoked: [], certificateAuthority: false, trustOnFirstUse };
  }
  const lines = knownHostsLines(expected.text, server);
  const marked = (marker: string | undefined): string[] => lines.filter((line) => line.marker === marker).map((line) => line.key);
  return {
    keys: usable([...marked(undefined), ...accepted]),
    revoked: usable(marked('revoked')).map((key) => key.fingerprint),
    certificateAuthority: marked('cert-authority').length > 0,
    trustOnFirstUse,
  };
}

/** Judges a presented key. SHA-256 fingerprints stand for the keys: equal ones mean equal keys. */
export function matchHostKey(expectation: Expectation, presented: HostKey): HostKeyVerdict {
  if (expectation.revoked.includes(presented.fingerprint)) return 'revoked';
  if (expectation.keys.some((key) => key.fingerprint === presented.fingerprint)) return 'accepted';
  if (expectation.keys.length > 0) return 'changed';
  return expectation.trustOnFirstUse ? 'accepted' : 'unknown';
}

/**
 * The host key algorithms to offer: those of the expected types first, as OpenSSH does, so that a server with several keys
 * presents the one that is known; without the types of the keys already `refused`.
 */
export function hostKeyAlgorithms(
  expectation: Expectation,
  offer: readonly ServerHostKeyAlgorithm[],
  refused: readonly HostKey[] = [],
): ServerHostKeyAlgorithm[] {
  const known = new Set(expectation.keys.map((key) => key.type));
  const left = offer.filter((algorithm) => !refused.some((key) => key.type === keyTypeOf(algorithm)));
  const isKnown = (algorithm: string): boolean => known.has(keyTypeOf(algorithm));
  return [...left.filter(isKnown), ...left.filter((algorithm) => !isKnown(algorithm))];
}

/** Whether a key of another type could still be the expected one: only where a fingerprint hides its type. */
export function mayHaveAnotherType(expectation: Expectation): boolean {
  return expectation.keys.some((key) => key.type === undefined);
}

function usable(entries: string[]): ExpectedKey[] {
  return entries.map(parseEntry).filter((entry) => 'fingerprint' in entry);
}

/** Finds the key in a public key line: options may stand before it (as in authorized_keys), a comment after it. */
function parseEntry(entry: string): ExpectedKey | { problem: string } {
  const text = entry.trim();
  if (text === '') return { problem: 'is empty' };
  if (text.startsWith('@')) return { problem: 'has a known_hosts marker: use knownHostsRef for known_hosts lines' };
  if (/^(MD5:)?([0-9a-f]{2}:){15}[0-9a-f]{2}$/i.test(text)) return { problem: 'is an MD5 fingerprint: use the SHA256 one (ssh-keygen -l)' };
  if (text.startsWith('SHA256:')) return parseFingerprint(text);
  const words = text.split(/\s+/);
  const unsupported = words.find((word) => /^(ssh-dss|sk-\S+@openssh\.com|\S+-cert-v0[01]@openssh\.com)$/.test(word));
  if (unsupported !== undefined) return { problem: `is of type ${unsupported}, which is not supported` };
  const types = words.flatMap((word, at) => (KEY_TYPES.includes(word) ? [{ type: word, base64: words[at + 1] ?? '' }] : []));
  const [first] = types;
  if (!first) return { problem: 'is neither an OpenSSH public key nor a SHA256 fingerprint' };
  const key = types.find(({ type, base64 }) => isBase64(base64) && isKeyBlob(Buffer.from(base64, 'base64'), type));
  if (!key) return { problem: `is not a complete ${first.type} key` };
  return { fingerprint: fingerprintOfBlob(Buffer.from(key.base64, 'base64')), type: key.type };
}

function parseFingerprint(text: string): ExpectedKey | { problem: string } {
  const digest = text.slice('SHA256:'.length).replace(/=+$/, '');
  // The last of 43 characters carries 4 bits, so a digest has one spelling only.
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$/.test(digest)) return { problem: 'is not a SHA256 fingerprint as ssh-keygen -l prints it' };
  return { fingerprint: `SHA256:${digest}`, type: undefined };
}

function isBase64(text: string): boolean {
  return text !== '' && text.replace(/=+$/, '') === Buffer.from(text, 'base64').toString('base64').replace(/=+$/, '');
}

/** A blob is the type's name and then fields, each with its length before it, up to the blob's end. */
function isKeyBlob(blob: Buffer, type: string): boolean {
  if (blobType(blob) !== type) return false;
  let at = 0;
  let fields = 0;
  while (at + 4 <= blob.length) {
    at += 4 + blob.readUInt32BE(at);
    fields++;
  }
  return at === blob.length && fields === (type === 'ssh-ed25519' ? 2 : 3);
}

function blobType(blob: Buffer): string | undefined {
  if (blob.length < 4) return undefined;
  const length = blob.readUInt32BE(0);
  return length > 0 && 4 + length <= blob.length ? blob.toString('latin1', 4, 4 + length) : undefined;
}

function fingerprintOfBlob(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
