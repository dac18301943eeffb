import { createHash } from 'node:crypto';
import { parsePrivateKey, type PrivateKey } from './private-key.ts';

/** The key without its passphrase, in PEM form. @throws SSHError as parsePrivateKey */
export type Decrypt = (text: string, passphrase: string, hop: string) => Promise<string>;

/** Keys of that many Secrets are remembered. */
const REMEMBERED = 64;

/**
 * Private keys that are ready to use. What a passphrase opens is remembered by a digest of both: it takes half a second (bcrypt in
 * JavaScript), and the same key opens many hosts.
 */
export class KeyRing {
  readonly #decrypt: Decrypt;
  /** The last used at the end. */
  readonly #opened = new Map<string, Promise<string>>();

  constructor(decrypt: Decrypt = (...args) => Promise.resolve(parsePrivateKey(...args).getPrivatePEM())) {
    this.#decrypt = decrypt;
  }

  /** @throws SSHError as parsePrivateKey */
  async read(text: string, passphrase: string | undefined, hop: string): Promise<PrivateKey> {
    if (passphrase === undefined || passphrase === '') return parsePrivateKey(text, undefined, hop);
    const digest = createHash('sha256').update(`${text}\0${passphrase}`).digest('base64');
    const opened = this.#opened.get(digest) ?? this.#decrypt(text, passphrase, hop);
    this.#opened.delete(digest);
    this.#opened.set(digest, opened);
    const [oldest] = this.#opened.keys();
    if (this.#opened.size > REMEMBERED && oldest !== undefined) this.#opened.delete(oldest);
    try {
      return parsePrivateKey(await opened, undefined, hop);
    } catch (error) {
      // What is wrong with it names the hop.
      this.#opened.delete(digest);
      throw error;
    }
  }
}
