import { quote } from '../../../ssh/quote.ts';
import { ensureGroup, pattern, requireTool } from './accounts.ts';
import { authorizedKeys } from './authorized_keys.ts';
import type { User } from './users.ts';

/**
 * The script that makes a user and sets what cloud-init sets on an existing one too. Passwords and keys go through printf,
 * a builtin of every sh, so that no argument list on the host shows them.
 */
export function userScript(user: User): string {
  const groups = [...(user.groups ?? []), ...(given(user.primary_group) ? [user.primary_group] : [])];
  const made = user.create_groups === false ? [] : groups.map(ensureGroup);
  const creation = [...made, requireTool('useradd'), useradd(user), ...initialPassword(user)];
  const parts = [
    'set -eu',
    `user=${quote(user.name)}`,
    'if id -u "$user" >/dev/null 2>&1; then',
    '  echo "user $user exists and is not made again"',
    'else',
    indent(creation.join('\n')),
    'fi',
    ...password(user),
    ...((user.ssh_authorized_keys ?? []).length > 0 ? [authorizedKeys(user.name, user.ssh_authorized_keys ?? [])] : []),
  ];
  return `${parts.join('\n')}\n`;
}

function useradd(user: User): string {
  const options: [string, string | null | undefined][] = [
    ['--expiredate', user.expiredate],
    ['--comment', user.gecos],
    ['--groups', user.groups?.join(',')],
    ['--home-dir', user.homedir],
    ['--inactive', user.inactive],
    ['--gid', user.primary_group],
    ['--selinux-user', user.selinux_user],
    ['--shell', user.shell],
    ['--uid', user.uid],
  ];
  const flags: [string, boolean | undefined][] = [
    ['--no-log-init', user.no_log_init],
    ['--no-user-group', user.no_user_group],
    ['--system', user.system],
  ];
  return [
    'useradd',
    ...options.flatMap(([option, value]) => (given(value) ? [option, quote(value)] : [])),
    ...flags.flatMap(([option, set]) => (set === true ? [option] : [])),
    user.no_create_home === true || user.system === true ? '--no-create-home' : '--create-home',
    '"$user"',
  ].join(' ');
}

/** `passwd` is the hash of a new user only. */
function initialPassword(user: User): string[] {
  return given(user.passwd) ? [chpasswd(user.name, user.passwd, 'chpasswd -e')] : [];
}

const given = (value: string | null | undefined): value is string => value !== undefined && value !== null && value !== '';
const chpasswd = (name: string, secret: string, tool: string) => `printf '%s\\n' ${quote(`${name}:${secret}`)} | ${tool}`;

/** cloud-init's rules: the password is locked unless lock_passwd is false, and an account that has none is never opened by that. */
function password(user: User): string[] {
  const lines: string[] = [];
  if (given(user.plain_text_passwd)) lines.push(chpasswd(user.name, user.plain_text_passwd, 'chpasswd'));
  if (given(user.hashed_passwd)) lines.push(chpasswd(user.name, user.hashed_passwd, 'chpasswd -e'));
  const locked = user.lock_passwd ?? true;
  if (locked) return [...lines, 'if command -v passwd >/dev/null 2>&1; then passwd -l "$user"; else usermod -L "$user"; fi'];
  if (lines.length > 0) return lines; // chpasswd replaces a locked entry
  return [unlock(user.name)];
}

/** Of the passwords that are given, each one that would count is empty. */
export function hasEmptyPassword({ plain_text_passwd: plain, hashed_passwd: hashed, passwd }: User): boolean {
  const all = [plain, hashed, passwd];
  return all.includes('') && !all.some(given);
}

/** Unlocks an account that has a password. */
const unlock = (name: string) => `entry=$(sed -n ${quote(`s/^${pattern(name)}:\\([^:]*\\):.*/\\1/p`)} /etc/shadow)
case \${entry#!} in
'' | '!' | '*') echo "user $user has no password and is not unlocked" ;;
*) case $entry in '!'*) passwd -u "$user" ;; esac ;;
esac`;

/** A broken file in sudoers.d disables sudo as a whole, and with it the way back to the host: it goes at once. */
export function sudoersCheck(file: string): string {
  return `set -eu
file=${quote(file)}
if command -v visudo >/dev/null 2>&1 && ! visudo -c -q -f "$file" >/dev/null 2>&1; then
  rm -f "$file"
  echo "the sudo rules in $file are not valid; the file is removed again" >&2
  exit 1
fi
if [ -e /etc/sudoers ] && ! grep -Eq '^[#@]includedir[[:space:]]+/etc/sudoers\\.d/?[[:space:]]*$' /etc/sudoers; then
  printf '\\n#includedir /etc/sudoers.d\\n' >>/etc/sudoers
fi
`;
}

const indent = (lines: string) => lines.replaceAll(/^(?=.)/gm, '  ');
