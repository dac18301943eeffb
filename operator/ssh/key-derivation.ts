/**
 * How much work an encrypted PKCS#8 key asks for before its passphrase can be tried: OpenSSL does whatever the key says.
 * ASN.1 is read here as far as that takes, a few lines: no library for it is a dependency of its own.
 */

/** OpenSSL writes 2048, guides say up to 1.3 million; this is about a second. */
const MAX_ITERATIONS = 2_000_000;
/** N·r·p of scrypt; OpenSSL writes 2^17, and this takes about a second, too. */
const MAX_SCRYPT = 2 ** 21;

const SCRYPT = Buffer.from('2b06010401da47040b', 'hex'); // 1.3.6.1.4.1.11591.4.11
const [INTEGER, OCTET_STRING, OBJECT_IDENTIFIER, SEQUENCE] = [0x02, 0x04, 0x06, 0x30];
/** The parameters are three sequences down. */
const DEEPEST = 8;

/** In words, where a key's parameters ask for more than is ever tried. What cannot be read asks for nothing: OpenSSL refuses it. */
export function excessiveWork(block: string): string | undefined {
  const der = Buffer.from(block.replaceAll(/-----.*-----/g, ''), 'base64');
  const { scrypt, numbers } = parametersIn(der, DEEPEST) ?? { scrypt: false, numbers: [] };
  const [iterations = 0n, r = 1n, p = 1n] = numbers;
  if (scrypt) return iterations * r * p > MAX_SCRYPT ? `more than ${MAX_SCRYPT} steps of scrypt (N·r·p)` : undefined;
  return iterations > MAX_ITERATIONS ? `more than ${MAX_ITERATIONS} iterations` : undefined;
}

interface Parameters {
  scrypt: boolean;
  numbers: bigint[];
}

/** PBKDF2, scrypt and the older ways alike: a sequence that begins with the salt and a number. */
function parametersIn(bytes: Buffer, depth: number, scrypt = false): Parameters | undefined {
  const items = [...itemsOf(bytes)];
  const [salt, first] = items;
  if (salt?.tag === OCTET_STRING && first?.tag === INTEGER) {
    const numbers = items.filter(({ tag }) => tag === INTEGER).map(({ content }) => BigInt(`0x0${content.toString('hex')}`));
    return { scrypt, numbers };
  }
  const isScrypt = salt?.tag === OBJECT_IDENTIFIER && salt.content.equals(SCRYPT);
  for (const { tag, content } of depth === 0 ? [] : items) {
    const found = tag === SEQUENCE ? parametersIn(content, depth - 1, isScrypt) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Tag, length, content, one after the other. A length that is not given (BER) goes to the end of what is around. */
function* itemsOf(bytes: Buffer): Generator<{ tag: number; content: Buffer }> {
  for (let at = 0; at + 2 <= bytes.length;) {
    const [tag = 0, length = 0] = bytes.subarray(at, at + 2);
    const digits = length > 0x80 ? length - 0x80 : 0;
    const start = at + 2 + digits;
    const size = digits > 0 ? Number(`0x0${bytes.toString('hex', at + 2, start)}`) : length;
    const end = length === 0x80 ? bytes.length : start + size;
    yield { tag, content: bytes.subarray(start, end) };
    at = end;
  }
}
