import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import { line } from '../values.ts';
import { pattern } from './accounts.ts';

/** Lines of an authorized_keys file. */
export const publicKeys = z
  .union([z.array(line), line, z.record(z.string(), line), z.null()], { error: 'expected a list of public keys' })
  .transform((value) => (Array.isArray(value) ? value : value === null ? [] : typeof value === 'string' ? [value] : Object.values(value)))
  .transform((list) => list.map((key) => key.trim()).filter((key) => key !== '' && !key.startsWith('#')));

/**
 * Adds keys to the first file of a user's own that sshd_config names, else ~/.ssh/authorized_keys, as cloud-init does; one that
 * is there already with another comment or other options gets those given. A link in its place is refused: root would write
 * where the user points.
 */
export function authorizedKeys(name: string, keys: string[]): string {
  return `${home(name)}
${FILE}
set_key() { # LINE PATTERN-OF-THE-SAME-KEY, neither an argument of a program
  others=$(printf '%s\\n' "$2" | grep -v -f - "$file" || :)
  printf '%s\\n' \${others:+"$others"} "$1" >"$file.new"
  cat "$file.new" >"$file"
  rm -f "$file.new"
}
${keys.map((key) => `set_key ${quote(key)} ${quote(sameKey(key))}`).join('\n')}
if command -v restorecon >/dev/null 2>&1; then
  restorecon -R "\${file%/*}" || :
fi`;
}

/** Lines with the same key are the same, whatever options and comment they have; what is no key is only the same as itself. */
function sameKey(key: string): string {
  const blob = /(?:^|\s)(AAAA[A-Za-z0-9+/=]+)/.exec(key)?.[1];
  return blob === undefined ? `^${key.replaceAll(/[.[\]*^$\\]/g, '\\$&')}$` : `^[^#]*${blob}`;
}

const home = (name: string) => `home=$(sed -n ${quote(`s/^${pattern(name)}:.*:\\([^:]*\\):[^:]*$/\\1/p`)} /etc/passwd)
if [ -z "$home" ] && command -v getent >/dev/null 2>&1; then
  home=$(getent passwd "$user" | cut -d: -f6)
fi
if [ -z "$home" ] || [ ! -d "$home" ]; then
  echo "user $user has no home directory for ssh_authorized_keys" >&2
  exit 1
fi`;

const FILE = `file=
set -f
for candidate in $(sed -n 's/^[[:space:]]*[Aa]uthorized[Kk]eys[Ff]ile[[:space:]=]\\{1,\\}//p' /etc/ssh/sshd_config 2>/dev/null | head -n 1); do
  case $candidate in
  /*%u* | *%h* | [!/]*) file=$(printf '%s' "$candidate" | sed -e "s|%h|$home|g" -e "s|%u|$user|g" -e 's|%%|%|g') && break ;;
  esac
done
set +f
case $file in
none | '') file=$home/.ssh/authorized_keys ;;
/*) ;;
*) file=$home/$file ;;
esac
directory=\${file%/*}
if [ -L "$directory" ] || [ -L "$file" ]; then
  echo "$file or its directory is a symbolic link, which is not followed" >&2
  exit 1
fi
if [ ! -d "$directory" ]; then
  case $directory in
  "$home"/*) (umask 077 && mkdir -p "$directory") && chown "$user:$(id -g "$user")" "$directory" ;;
  *) (umask 022 && mkdir -p "$directory") ;;
  esac
fi
if [ ! -e "$file" ]; then
  (umask 077 && : >"$file")
  chown "$user:$(id -g "$user")" "$file"
fi`;
