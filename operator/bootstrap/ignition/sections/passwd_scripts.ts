import { pattern } from '../../cloud-config/modules/accounts.ts';
import { authorizedKeys } from '../../cloud-config/modules/authorized_keys.ts';
import { quote } from '../../../ssh/quote.ts';
import { MADE } from './filesystem_scripts.ts';
import type { Group, User } from './passwd.ts';

/** No password: it opens nothing, and the account is not locked. */
const NONE = '*';
const hasUser = (name: string) => `id -u ${quote(name)} >/dev/null 2>&1`;
const hasGroup = (name: string) => `{ getent group ${quote(name)} || grep ${quote(`^${pattern(name)}:`)} /etc/group; } >/dev/null 2>&1`;

export function groupScript({ name, gid, passwordHash = '', system }: Group): string {
  const options = [...(gid === undefined ? [] : ['--gid', String(gid)]), ...(system === true ? ['--system'] : [])];
  const parts = [
    'set -eu',
    `if ${hasGroup(name)}; then`,
    ...(gid === undefined
      ? []
      : [
          `  if [ "$(getent group ${quote(name)} | cut -d: -f3)" != ${gid} ]; then`,
          `    echo ${quote(`group ${name} exists with another number than ${gid}`)} >&2`,
          '    exit 1',
          '  fi',
        ]),
    `  echo ${quote(`group ${name} exists and is not made again`)}`,
    'else',
    `  ${['groupadd', ...options, "--password '*'", quote(name)].join(' ')}`,
    'fi',
    ...(passwordHash === '' ? [] : [`printf '%s\\n' ${quote(`${name}:${passwordHash}`)} | chgpasswd -e`]),
  ];
  return script(parts);
}

/** As in Ignition one that exists gets what is said here. Passwords go through printf, which no argument list on the host shows. */
export function userScript(user: User): string {
  const both = options([
    ['--uid', user.uid?.toString()],
    ['--comment', user.gecos],
    ['--gid', user.primaryGroup],
    ['--groups', user.groups?.filter((name) => name !== '').join(',')],
    ['--shell', user.shell],
  ]);
  const modify = [...(given(user.homeDir) ? ['--home', quote(user.homeDir), '--move-home'] : []), ...both];
  const make = [
    ...options([['--home-dir', user.homeDir]]),
    user.noCreateHome === true ? '--no-create-home' : '--create-home',
    ...(user.noUserGroup === true ? ['--no-user-group'] : []),
    ...(user.system === true ? ['--system'] : []),
    ...(user.noLogInit === true ? ['--no-log-init'] : []),
    ...both,
  ];
  const hash = user.passwordHash === '' ? NONE : user.passwordHash;
  const keys = (user.sshAuthorizedKeys ?? []).map((key) => key.trim()).filter((key) => key !== '');
  const parts = [
    'set -eu',
    `user=${quote(user.name)}`,
    `if ${hasUser(user.name)}; then`,
    modify.length === 0 ? '  echo "user $user exists and is not made again"' : `  usermod ${modify.join(' ')} "$user"`,
    'else',
    `  useradd ${make.join(' ')} "$user"`,
    ...(hash === undefined ? [`  ${password(user.name, NONE)}`] : []),
    'fi',
    ...(hash === undefined ? [] : [password(user.name, hash)]),
    ...(keys.length === 0 ? [] : [authorizedKeys(user.name, keys)]),
  ];
  return script(parts);
}

/** Directories that a mount made in the home of a user are his, and nobody else's to look into. */
export const homesScript = (names: string[]): string =>
  script([
    'set -eu',
    `[ -e ${MADE} ] || exit 0`,
    'while IFS=: read -r name _ uid gid _ home _; do',
    `  case $name in ${names.map(quote).join(' | ')}) ;; *) continue ;; esac`,
    '  while IFS= read -r made; do',
    '    [ -d "$made" ] || continue',
    '    case $made in',
    '    "$home" | "$home"/*)',
    '      chown "$uid:$gid" "$made"',
    '      chmod 0700 "$made"',
    '      ;;',
    '    esac',
    `  done <${MADE}`,
    'done </etc/passwd',
    `rm -f ${MADE}`,
  ]);

export const removeUser = (name: string): string =>
  script(['set -eu', `if ${hasUser(name)}; then`, `  userdel --remove ${quote(name)}`, 'fi']);
export const removeGroup = (name: string): string => script(['set -eu', `if ${hasGroup(name)}; then`, `  groupdel ${quote(name)}`, 'fi']);

const given = (value: string | undefined): value is string => value !== undefined && value !== '';
const options = (list: [string, string | undefined][]): string[] =>
  list.flatMap(([option, value]) => (given(value) ? [option, quote(value)] : []));
const password = (name: string, hash: string): string => `printf '%s\\n' ${quote(`${name}:${hash}`)} | chpasswd -e`;
const script = (lines: string[]): string => `${lines.join('\n')}\n`;
