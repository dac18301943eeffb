/** Which texts of bootstrap data no output may repeat: pure. */

/** Shorter ones are words like `true`. */
const SHORTEST = 8;

/** A name that says that a secret follows: `hashed_passwd: …`, `TOKEN=…`, `"client-key-data": …`, and, as an option, `--password …`; apt's keyid and keyserver are none. */
const NAMED =
  /(?:^|[\s"'{,;&|(])(--?)?[\w.-]{0,64}(?:passw(?:or)?d|passphrase|pwd|token|secret|credential|key(?!(?:id|server)\b)|bearer)[\w.-]{0,64}["']?(\s*[:=]\s*|\s+)/gi;

/** Values that stand under no such name: a header's credentials, those of a URL, and `-u user:password`. */
const UNNAMED = [
  /authorization["']?\s{0,8}[:=]\s{0,8}["']?(?:(?:basic|bearer|token|digest)\s{1,8})?(?<secret>[^\s"']+)/gi,
  /\b[a-z][a-z0-9+.-]{0,15}:\/\/(?:[^\s"'/:@]{0,256}:)(?<secret>[^\s"'/]{1,1024})@/gi,
  /\bhttps?:\/\/(?<secret>[^\s"'/:@]{1,1024})@/gi, // a token in place of a user
  /(?:^|\s)(?:-u|--(?:proxy-)?user)[=\s]{0,8}(?:"[^":]{1,256}:(?<quoted>[^"]+)"|'[^':]{1,256}:(?<single>[^']+)'|[^\s"':]{1,256}:(?<secret>[^\s"']+))/g,
];

/**
 * The lines of a text; what `set -x` prints of them, which is each command of a line without its quotes; and the values that stand
 * under a secret's name, as programs print them elsewhere than in their line: a password's hash in /etc/shadow, a token in an error.
 */
export function secretTexts(text: string): Set<string> {
  const found = new Set<string>();
  const add = (candidate: string): void => {
    const trimmed = candidate.trim();
    if (trimmed.length >= SHORTEST) found.add(trimmed);
  };
  for (const line of text.split(/\r?\n/)) {
    add(line);
    for (const command of line.split(/[;&|]/)) {
      add(command);
      add(withoutQuotes(command));
    }
    for (const value of [...valuesOf(line), ...unnamedIn(line)]) add(value);
  }
  return found;
}

const withoutQuotes = (text: string): string => text.replaceAll(/["'\\]/g, '');

function valuesOf(line: string): string[] {
  return [...line.matchAll(NAMED)].flatMap((match) => {
    const [whole, dash, separator = ''] = match;
    // In prose a name is followed by a space, too.
    if (dash === undefined && separator.trim() === '') return [];
    const rest = line.slice(match.index + whole.length).trim();
    const quoted = /^(["'])(.*?)\1/.exec(rest)?.[2];
    const word = /^[^\s"',;&|)}]+/.exec(rest)?.[0];
    return [withoutQuotes(rest), quoted, word].filter((value): value is string => value !== undefined && !isReference(value));
  });
}

const unnamedIn = (line: string): string[] =>
  UNNAMED.flatMap((pattern) => [...line.matchAll(pattern)])
    .flatMap(({ groups = {} }) => Object.values<string | undefined>(groups))
    .filter((value): value is string => value !== undefined && !isReference(value));

/** A path, another option, or a variable says where the secret is. */
const isReference = (value: string): boolean => /^(?:[/~-]|\.\/|\$[A-Za-z_{(])/.test(value);
