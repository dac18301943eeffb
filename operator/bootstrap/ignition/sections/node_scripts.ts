import { posix } from 'node:path';
import { quote } from '../../../ssh/quote.ts';

const RELABEL = '[ ! -e /sys/fs/selinux/enforce ] || restorecon -R "$path" || :';

/** Before anything is changed. */
export const checkFree = (path: string): string =>
  `if [ -e ${quote(path)} ] || [ -L ${quote(path)} ]; then fail ${quote(`${path} exists already, and overwrite is not true`)}; fi`;

/** Takes away what a file can't replace by itself, or finds that it must not. A file that is replaced is there until the new one is whole. */
export function makeRoom(path: string, given: boolean, overwrite: boolean): string {
  const lines = ['set -eu', `path=${quote(path)}`];
  const isOther = '[ -L "$path" ] || { [ -e "$path" ] && [ ! -f "$path" ]; }';
  if (given && overwrite) return script([...lines, `if ${isOther}; then rm -rf "$path"; fi`]);
  const [condition, why] = given
    ? ['[ -L "$path" ] || [ -e "$path" ]', 'exists already, and overwrite is not true']
    : [isOther, 'exists and is not a file, and overwrite is not true'];
  return script([...lines, `if ${condition}; then`, `  echo "$path ${why}" >&2`, '  exit 1', 'fi']);
}

export function directoryScript(
  { path, overwrite, mode, likeIt }: { path: string; overwrite: boolean; mode: number | undefined; likeIt?: boolean },
  owner: string,
): string {
  const parts = [
    'set -eu',
    'umask 022',
    `path=${quote(path)}`,
    ...(overwrite ? ['rm -rf "$path"'] : []),
    'if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then',
    '  echo "$path exists and is not a directory, and overwrite is not true" >&2',
    '  exit 1',
    'fi',
    'finish() {',
    '  :',
    ...(owner === '' ? [] : [`  chown ${quote(owner)} "$1"`]),
    ...(mode === undefined ? [] : [`  chmod ${mode.toString(8).padStart(4, '0')} "$1"`]),
    '}',
    ...(likeIt === true ? [LIKE_IT] : ['mkdir -p "$path"']),
    'finish "$path"',
    RELABEL,
  ];
  return script(parts);
}

const LIKE_IT = `make() {
  if [ -d "$1" ]; then return; fi
  make "\${1%/*}"
  mkdir "$1"
  made="$made$1
"
}
made=
make "$path"
printf '%s' "$made" | while IFS= read -r one; do finish "$one"; done`;

export function linkScript(
  { path, target, hard, overwrite }: { path: string; target: string; hard: boolean; overwrite: boolean },
  owner: string,
): string {
  const to = hard ? posix.resolve('/', target) : target;
  const same = hard
    ? '[ "$path" -ef "$target" ] && [ ! -L "$path" ]'
    : `[ -L "$path" ] && { [ "$(readlink "$path")" = "$target" ] || [ "$(readlink "$path")" = ${quote(posix.normalize(target))} ]; }`;
  const parts = [
    'set -eu',
    'umask 022',
    `path=${quote(path)}`,
    `target=${quote(to)}`,
    ...(overwrite
      ? ['rm -rf "$path"']
      : [
          'if [ -L "$path" ] || [ -e "$path" ]; then',
          '  # shellcheck disable=SC3013 # every sh of Linux has -ef',
          `  if ${same}; then exit 0; fi`,
          `  echo "$path exists and is another ${hard ? 'file' : 'link or file'}, and overwrite is not true" >&2`,
          '  exit 1',
          'fi',
        ]),
    'parent=${path%/*}',
    'mkdir -p "${parent:-/}"',
    `ln ${hard ? '' : '-s '}-- "$target" "$path"`,
    ...(hard || owner === '' ? [] : [`chown -h ${quote(owner)} "$path"`]),
    ...(hard ? [] : [RELABEL.replace('-R ', '')]),
  ];
  return script(parts);
}

const script = (lines: string[]): string => `${lines.join('\n')}\n`;
