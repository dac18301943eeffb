/**
 * A self-signed certificate. Node.js makes keys and signatures but no certificates; @peculiar/x509, the library that is kept and used
 * most, brings fifteen packages for what are these few lines of DER (RFC 5280), and nobody verifies what is made here.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const YEAR = 365 * 24 * 60 * 60 * 1000;
/** Longer than a process lives. */
const LIFETIME = 10 * YEAR;
/** Whoever asks may have a clock that is slow. */
const BEFORE = 24 * 60 * 60 * 1000;

/** Tag, length and content. */
function der(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const digits = body.length.toString(16);
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}
const hex = (tag: number, content: string): Buffer => der(tag, Buffer.from(content, 'hex'));
const sequence = (...content: Buffer[]): Buffer => der(0x30, ...content);
const oid = (content: string): Buffer => hex(0x06, content);

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'));
const COMMON_NAME = oid('550403');
const KEY_USAGE = oid('551d0f');
const EXTENDED_KEY_USAGE = oid('551d25');
const SERVER_AUTH = oid('2b06010505070301');
const SUBJECT_ALTERNATIVE_NAME = oid('551d11');

const name = (commonName: string): Buffer => sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(commonName)))));

/** UTCTime until 2049, GeneralizedTime from then on. */
function time(at: Date): Buffer {
  const digits = at.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

const extension = (id: Buffer, value: Buffer): Buffer => sequence(id, der(0x04, value));

function extensions(names: readonly string[]): Buffer {
  const alternatives = names.map((each) => der(0x82, Buffer.from(each)));
  return sequence(
    extension(KEY_USAGE, hex(0x03, '0780')), // digital signature
    extension(EXTENDED_KEY_USAGE, sequence(SERVER_AUTH)),
    extension(SUBJECT_ALTERNATIVE_NAME, sequence(...alternatives)),
  );
}

/** For a server with these DNS names; PEM. */
export function selfSigned(names: readonly [string, ...string[]], now = new Date()): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // positive, and as long as it seems
  const subject = name(names[0].slice(0, 64));
  const toBeSigned = sequence(
    der(0xa0, hex(0x02, '02')), // version 3
    der(0x02, serial),
    ECDSA_WITH_SHA256,
    subject,
    sequence(time(new Date(now.getTime() - BEFORE)), time(new Date(now.getTime() + LIFETIME))),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions(names)),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const certificate = sequence(toBeSigned, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature));
  const lines = certificate.toString('base64').replaceAll(/.{64}(?!$)/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
