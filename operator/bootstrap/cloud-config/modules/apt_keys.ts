/** Keys by which apt knows its archives: given as they are, or fetched from a key server by gpg on the host. */
import { quote } from '../../../ssh/quote.ts';
import { line, text } from '../values.ts';
import { APT } from './package_managers.ts';

/** As people write it: in groups, with or without 0x. */
const keyid = line
  .transform((value) => value.replaceAll(/\s/g, ''))
  .refine(
    (value) => [8, 16, 32, 40, 64].includes(digitsOf(value).length),
    'is neither the fingerprint of a key (40 hexadecimal digits) nor its last 16 or 8 digits',
  );

const digitsOf = (id: string): string => /^(?:0x)?([0-9A-Fa-f]+)$/.exec(id)?.[1] ?? '';

/** A name, or the address of a server in any scheme that gpg knows. */
const keyserver = line.regex(/^[A-Za-z0-9]\S*$/, 'is not the name or the address of a key server');

export const keyFields = { key: text.optional(), keyid: keyid.optional(), keyserver: keyserver.optional() };

export interface Keyed {
  key?: string | undefined;
  keyid?: string | undefined;
  keyserver?: string | undefined;
}

const DEFAULT_SERVER = 'keyserver.ubuntu.com';

/** A key of the document counts before one of a server, as in cloud-init. */
const isFetched = ({ key, keyid: id }: Keyed): boolean => key === undefined && id !== undefined;
/** Anyone can make a key with the same eight last digits. */
export const isForgeable = (one: Keyed): boolean => isFetched(one) && digitsOf(one.keyid ?? '').length === 8;
export const hasKey = ({ key, keyid: id }: Keyed): boolean => (key ?? id) !== undefined;

/** Lines that put a key into `file`, a word of the shell; `whose` is for the message of a failure. */
export function keyLines({ key, keyid: id, keyserver: server = DEFAULT_SERVER }: Keyed, file: string, whose: string): string[] {
  if (key !== undefined) return [ADD, `printf %s ${quote(key)} | add_key ${file}`];
  return id === undefined ? [] : [FETCH, `fetch_key ${file} ${quote(id)} ${quote(server)} ${quote(whose)}`];
}

const need = (program: string, name: string): string =>
  `command -v ${program} >/dev/null 2>&1 || { echo "${program} is not installed on this host; install ${name}" >&2; exit 127; }`;

const ADD = `add_key() { # FILE, the key on standard input
  mkdir -p "\${1%/*}"
  ${need('gpg', 'gnupg')}
  gpg --batch --dearmor >"$1"
  chmod 0644 "$1"
}`;

/**
 * Three tries, as in cloud-init: gpg says the same of a server that is busy and of one that lacks the key. What gpg and its dirmngr
 * keep is in a folder of their own, which goes with them.
 */
const FETCH = `fetch_key() ( # FILE KEYID SERVER WHOSE
  ${need('gpg', 'gnupg')}
  ${need('dirmngr', 'dirmngr')}
  GNUPGHOME=$(mktemp -d)
  export GNUPGHOME
  trap 'gpgconf --kill all >/dev/null 2>&1 || :; rm -rf "$GNUPGHOME"' EXIT
  try=1
  until gpg --batch --no-tty --keyserver="$3" --recv-keys "$2" >"$GNUPGHOME/said" 2>&1 &&
    gpg --batch --export "$2" >"$GNUPGHOME/key" 2>>"$GNUPGHOME/said" && [ -s "$GNUPGHOME/key" ]; do
    if [ "$try" = 3 ]; then
      cat "$GNUPGHOME/said" >&2
      echo "$4: the key $2 could not be fetched from $3 in $try tries; can this host reach that server, and has it the key?" >&2
      exit 1
    fi
    try=$((try + 1))
    sleep 1
  done
  mkdir -p "\${1%/*}"
  cat "$GNUPGHOME/key" >"$1"
  chmod 0644 "$1"
)`;

/** Installs what the keys need and the host lacks, before anything is changed, as newer versions of cloud-init do. Where there is no apt the steps after it say so. */
export function toolsScript(keyed: Keyed[]): string | undefined {
  if (!keyed.some(hasKey)) return undefined;
  const { prelude = [], update, install } = APT;
  const wanted = [['gpg', 'gnupg'], ...(keyed.some(isFetched) ? [['dirmngr', 'dirmngr']] : [])];
  return `set -eu
set --
${wanted.map(([program, name]) => `command -v ${program} >/dev/null 2>&1 || set -- "$@" ${name}`).join('\n')}
[ $# -gt 0 ] && command -v apt-get >/dev/null 2>&1 || exit 0
${prelude.join('\n')}
${update} || :
${install} "$@"
`;
}
