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
 * is there already with another comment or other options gets those given. The folder is the user's, who may put anything in
 * the way: it is entered step by step without following a link, and what root writes lies in a folder of root's until it is whole.
 */
export function authorizedKeys(name: string, keys: string[]): string {
  return `${home(name)}
${FILE}
${ENTER}
set_key() { # LINE PATTERN-OF-THE-SAME-KEY, neither an argument of a program
  others=$(printf '%s\\n' "$2" | grep -v -f - keys || :)
  printf '%s\\n' \${others:+"$others"} "$1" >keys.new
  cat keys.new >keys
}
${keys.map((key) => `set_key ${quote(key)} ${quote(sameKey(key))}`).join('\n')}
${PUT}
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
owner=$user:$(id -g "$user")`;

/** To the folder of the file; a folder that is missing below the user's home is made, and the user's. */
const ENTER = `refuse() {
  echo "$file $1" >&2
  exit 1
}
LINK='or its directory is a symbolic link, which is not followed'
enter() { # DIRECTORY of the current one, and no other that is put in its place meanwhile
  parent=$(pwd -P) made=no
  [ ! -L "./$1" ] || refuse "$LINK"
  if [ ! -d "./$1" ]; then
    (umask 077 && mkdir "./$1")
    made=yes
  fi
  cd -P "./$1"
  [ "$(pwd -P)" = "\${parent%/}/$1" ] || refuse "$LINK"
  if [ "$made" = yes ]; then
    chown "$owner" .
  fi
}
case $file in
"$home"/*)
  cd -P "$home"
  rest=\${file#"$home"/}
  while [ "$rest" != "\${rest#*/}" ]; do
    if [ -n "\${rest%%/*}" ]; then
      enter "\${rest%%/*}"
    fi
    rest=\${rest#*/}
  done
  ;;
*)
  [ ! -L "\${file%/*}" ] || refuse "$LINK"
  (umask 022 && mkdir -p "\${file%/*}")
  cd -P "\${file%/*}"
  ;;
esac
entry=\${file##*/}
[ ! -L "./$entry" ] || refuse "$LINK"
if [ -e "./$entry" ] && [ ! -f "./$entry" ]; then
  refuse 'is not a file'
fi
work=$(mktemp -d ./.authorized_keys.XXXXXX)
trap 'cd .. && rm -rf "$work"' EXIT
enter "\${work#./}"
if [ -e "../$entry" ]; then
  cp -pPR "../$entry" keys
  if [ -L keys ] || [ ! -f keys ]; then
    refuse 'is not a file'
  fi
else
  (umask 077 && : >keys)
  chown "$owner" keys
fi`;

/** -T: not into a directory to which a link leads that is put in the file's place. */
const PUT = `if mv -T keys whole 2>/dev/null; then
  mv -fT whole "../$entry"
else
  mv -f keys "../$entry"
fi`;
