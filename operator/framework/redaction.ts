/**
 * Keeps secrets out of logs, Events and conditions. Matches of known secrets and of shapes are collected first and their union is
 * replaced, so that nothing of a secret is left where two of them overlap.
 */
const REPLACEMENT = '[redacted]';
/** Shorter lines are not looked for: they would blacken half of every output. */
const MIN_LENGTH = 8;

const SHAPES = [
  // kubeadm's bootstrap token: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format
  /(?<![a-z0-9])[a-z0-9]{6}\.[a-z0-9]{16}(?![a-z0-9])/g,
  // kubeadm's certificate key: an AES-256 key in hexadecimal
  /(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])/g,
  // A private key in PEM, up to the end of the text where its last line is not there
  /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g,
  // The rest of one whose beginning was cut off
  /^(?:(?!-----BEGIN )[^])*?-----END [A-Z0-9 ]*PRIVATE KEY-----/g,
];

/**
 * Makes a function that replaces each secret, and everything shaped like a kubeadm token, a certificate key or a PEM private key, by
 * `[redacted]`. A secret of several lines counts as its lines, without the space around them; those under 8 characters are ignored.
 * Texts must come in whole lines. One pass: the time for a text hardly depends on the number of secrets.
 */
export function secretFilter(secrets: readonly string[]): (text: string) => string {
  const known = new KnownSecrets(secrets);
  return (text) => {
    const matches = known.find(text);
    for (const shape of SHAPES) {
      for (const match of text.matchAll(shape)) matches.push([match.index, match.index + match[0].length]);
    }
    return matches.length === 0 ? text : replace(text, matches);
  };
}

type Span = [start: number, end: number];

function replace(text: string, matches: Span[]): string {
  matches.sort((a, b) => a[0] - b[0]);
  const parts: string[] = [];
  let done = 0;
  let open: Span | undefined;
  const close = (): void => {
    if (open === undefined) return;
    parts.push(text.slice(done, open[0]), REPLACEMENT);
    done = open[1];
  };
  for (const [start, end] of matches) {
    if (open !== undefined && start <= open[1]) open[1] = Math.max(open[1], end);
    else {
      close();
      open = [start, end];
    }
  }
  close();
  return parts.join('') + text.slice(done);
}

/** Finds by the first 8 characters, behind a bit table that rules out nearly every position without making a substring. */
class KnownSecrets {
  readonly #byPrefix = new Map<string, string[]>();
  readonly #possible = new Uint8Array(1 << 16);

  constructor(secrets: readonly string[]) {
    const lines = new Set(secrets.flatMap((secret) => secret.split(/[\r\n]+/)).map((line) => line.trim()));
    const wanted = [...lines].filter((line) => line.length >= MIN_LENGTH).sort((a, b) => b.length - a.length);
    for (const line of wanted) {
      const prefix = line.slice(0, MIN_LENGTH);
      const same = this.#byPrefix.get(prefix);
      if (same === undefined) this.#byPrefix.set(prefix, [line]);
      else same.push(line);
      this.#possible[slot(line, 0)] = 1;
    }
  }

  /** The longest match at each position. */
  find(text: string): Span[] {
    const spans: Span[] = [];
    if (this.#byPrefix.size === 0) return spans;
    for (let start = 0; start + MIN_LENGTH <= text.length; start++) {
      if (this.#possible[slot(text, start)] === 0) continue;
      const match = this.#byPrefix.get(text.slice(start, start + MIN_LENGTH))?.find((line) => text.startsWith(line, start));
      if (match !== undefined) spans.push([start, start + match.length]);
    }
    return spans;
  }
}

const slot = (text: string, at: number): number =>
  ((text.charCodeAt(at) * 31 + text.charCodeAt(at + 2) * 1009 + text.charCodeAt(at + 5) * 7919 + text.charCodeAt(at + 7)) & 0xffff) >>> 0;
