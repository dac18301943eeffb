import { device, UNUSED } from '../../cloud-config/modules/disk_scripts.ts';
import { quote } from '../../../ssh/quote.ts';
import type { Filesystem } from './filesystems.ts';

export const MAKERS: Partial<Record<string, string>> = {
  ext4: 'mkfs.ext4',
  btrfs: 'mkfs.btrfs',
  xfs: 'mkfs.xfs',
  swap: 'mkswap',
  vfat: 'mkfs.fat',
};

const FORCE: Partial<Record<string, string[]>> = { ext4: ['-F'], btrfs: ['--force'], xfs: ['-f'], swap: ['-f'] };
const UUID: Partial<Record<string, (uuid: string) => string[]>> = {
  xfs: (uuid) => ['-m', `uuid=${uuid}`],
  vfat: (uuid) => ['-i', uuid],
};

/** One that is there as it should be stays; another one is an error unless it may be wiped. */
export function fileSystemScript({
  device: name,
  format,
  label,
  uuid,
  wipeFilesystem,
  options = [],
  create,
}: Filesystem & { format: string }): string {
  const canonical = uuid === undefined ? undefined : canonicalUUID(format, uuid);
  const wipe = wipeFilesystem === true || create?.force === true;
  const maker = MAKERS[format];
  const words = [
    ...options,
    ...(FORCE[format] ?? []),
    ...(canonical === undefined ? [] : (UUID[format]?.(canonical) ?? ['-U', canonical])),
    ...(label === undefined ? [] : [format === 'vfat' ? '-n' : '-L', label]),
  ];
  const same = [
    `[ "$type" = ${quote(format === 'none' ? '' : format) || "''"} ]`,
    ...(label === undefined ? [] : [`[ "$(value LABEL)" = ${quote(label)} ]`]),
    ...(canonical === undefined ? [] : [`[ "$(value UUID | tr A-F a-f${format === 'vfat' ? ' | tr -d -' : ''})" = ${quote(canonical)} ]`]),
  ];
  const parts = [
    'set -eu',
    device(name),
    'value() { blkid -c /dev/null -o value -s "$1" "$device" || :; }',
    'type=$(value TYPE)',
    ...(wipe ? [] : [create === undefined ? keep(same.join(' && ')) : ONLY_EMPTY]),
    UNUSED,
    'wipefs --all "$device"',
    ...(maker === undefined ? [] : [`${[maker, ...words].map(quote).join(' ')} "$device"`]),
    'if command -v udevadm >/dev/null 2>&1; then',
    '  udevadm settle || :',
    'fi',
  ];
  return `${parts.join('\n')}\n`;
}

/** mkfs.fat takes no dash. */
function canonicalUUID(format: string, uuid: string): string {
  const lower = uuid.toLowerCase();
  return format === 'vfat' ? lower.replace(/^(.{4})-/, '$1') : lower;
}

const keep = (same: string): string => `if ${same}; then
  echo "$device has this file system already"
  exit 0
fi
if [ -n "$type" ]; then
  echo "$device has another file system ($type), label or UUID, and wipeFilesystem is not true" >&2
  exit 1
fi`;

const ONLY_EMPTY = `if [ -n "$type" ]; then
  echo "$device has a file system ($type) already, and force is not true" >&2
  exit 1
fi`;

export const MOUNTED = `mounted() { # DEVICE PATH: whether it is mounted there; ends the script where something else is
  device=$(readlink -f "$1" || :)
  number=$(cat "/sys/class/block/\${device##*/}/dev" 2>/dev/null || :)
  at=$(readlink -f "$2" || :)
  # As the kernel writes it.
  at=$(printf '%s' "$at" | sed 's/\\\\/\\\\134/g; s/ /\\\\040/g; s/\t/\\\\011/g')
  source=''
  while read -r _ _ its_number root point rest; do
    [ "$point" = "$at" ] || continue
    rest=\${rest#* - }
    type=\${rest%% *}
    source=\${rest#* }
    source=\${source%% *}
    same=no
    # One of btrfs has a number of its own, and may be mounted by a volume of it.
    if [ "$its_number" = "$number" ] || [ "$(readlink -f "$source")" = "$device" ]; then same=yes; fi
    if [ "$root" != / ] && [ "$type" != btrfs ]; then same=no source="$source, its $root,"; fi
  done </proc/self/mountinfo
  [ -n "$source" ] || return 1
  [ "$same" = yes ] && return 0
  printf '%s\\n' "$source is mounted at $2 on this host, where the document mounts $1; nothing else may be mounted there" >&2
  exit 1
}`;

const words = ({ device: name, path = '' }: Filesystem): string => `${quote(name)} ${quote(path)}`;

/** Before anything is changed. What the document mounts lies on top of nothing that another one has put there. */
export const checkMount = (one: Filesystem): string => `mounted ${words(one)} || :`;

/**
 * As Ignition notes them: the directories that mounting made, which are a user's where they lie in his home.
 * The folder is there while a run has the host.
 */
export const MADE = '/run/cluster-api-provider-remote/made-for-mounts';

/** @param notes the directories that it makes are looked at again once there are users */
export function mountScript(one: Filesystem, notes: boolean): string {
  const { device: name, path = '', format = '', mountOptions = [] } = one;
  const options = mountOptions.length === 0 ? '' : `-o ${quote(mountOptions.join(','))} `;
  return `set -eu
umask 022
path=${quote(path)}
${MOUNTED}
if mounted ${words(one)}; then
  printf '%s\\n' "$path is mounted already"
  exit 0
fi
${
  notes
    ? `make() { # PATH
  if [ -z "$1" ] || [ -e "$1" ]; then return 0; fi
  make "\${1%/*}"
  mkdir "$1"
  printf '%s\\n' "$1" >>${MADE}
}
make "$path"`
    : 'mkdir -p "$path"'
}
mount ${options}-t ${quote(format)} ${quote(name)} "$path"
`;
}
