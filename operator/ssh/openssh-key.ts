import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';
import type { ParsedKey } from 'ssh2';

/** ssh-keygen's default is 16 or 24, guides say 100. What is above would stop everything else for many seconds. */
const MAX_ROUNDS = 200;
/** Keys of that many Secrets are remembered. */
const REMEMBERED = 64;

/** Results by a digest of key and passphrase, the last used at the end. */
const remembered = new Map<string, ParsedKey | Error>();

/**
 * Reads a key that ssh2 knows how to read. The passphrase of an OpenSSH key takes bcrypt in JavaScript, which blocks the event
 * loop for about half a second, so its result is remembered: the same key opens many hosts.
 */
export function parseOpenSSHKey(block: string, passphrase: string | undefined): ParsedKey | Error {
  if (passphrase === undefined || bcryptRounds(block) === 0) return parse(block, passphrase);
  if (bcryptRounds(block) > MAX_ROUNDS) return new Error(`Too many rounds: more than ${MAX_ROUNDS}`);
  const digest = createHash('sha256').update(`${block}\0${passphrase}`).digest('base64');
  const result = remembered.get(digest) ?? parse(block, passphrase);
  remembered.delete(digest);
  remembered.set(digest, result);
  const [oldest] = remembered.keys();
  if (remembered.size > REMEMBERED && oldest !== undefined) remembered.delete(oldest);
  return result;
}

function parse(block: string, passphrase: string | undefined): ParsedKey | Error {
  // Typed too narrowly: some files give an array.
  const parsed = ssh2.utils.parseKey(block, passphrase) as ParsedKey | Error | ParsedKey[];
  return Array.isArray(parsed) ? (parsed[0] ?? new Error('No key')) : parsed;
}

/** The work factor in the header of an OpenSSH key (PROTOCOL.key): magic, cipher, kdf, kdf options {salt, rounds}. */
function bcryptRounds(block: string): number {
  const bytes = Buffer.from(block.replaceAll(/-----.*-----/g, ''), 'base64');
  let at = 'openssh-key-v1\0'.length;
  const next = (): Buffer => {
    const length = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0;
    at += 4 + length;
    return bytes.subarray(at - length, at);
  };
  next();
  const kdf = next().toString('latin1');
  const options = next();
  return kdf === 'bcrypt' && options.length >= 4 ? options.readUInt32BE(options.length - 4) : 0;
}
