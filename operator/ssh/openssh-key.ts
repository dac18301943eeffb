import ssh2 from 'ssh2';
import type { ParsedKey } from 'ssh2';

/** ssh-keygen's default is 16 or 24, guides say 100. What is above would take many seconds. */
const MAX_ROUNDS = 200;
/** Reads a key that ssh2 knows how to read. The passphrase of an OpenSSH key takes bcrypt in JavaScript: about 20 ms a round. */
export function parseOpenSSHKey(block: string, passphrase: string | undefined): ParsedKey | Error {
  if (passphrase !== undefined && bcryptRounds(block) > MAX_ROUNDS) return new Error(`Too many rounds: more than ${MAX_ROUNDS}`);
  return parse(block, passphrase);
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
