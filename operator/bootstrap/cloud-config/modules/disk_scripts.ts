import { quote } from '../../../ssh/quote.ts';
import type { Disk, FileSystem } from './disk_setup.ts';

type Layout = Exclude<NonNullable<Disk['layout']>, false>;
type Shares = Exclude<Layout, true | 'remove'>;

/** Sets device to the disk itself, whatever link names it. */
export const device = (name: string) => `device=${quote(name)}
case $device in /*) ;; *) device=/dev/$device ;; esac
if command -v udevadm >/dev/null 2>&1; then
  udevadm settle || :
fi
if [ ! -b "$device" ]; then
  echo "this host has no disk $device" >&2
  exit 1
fi
device=$(readlink -f "$device")`;

export const REREAD = `reread() {
  if command -v partprobe >/dev/null 2>&1; then
    partprobe "$device" || :
  else
    blockdev --rereadpt "$device" || :
  fi
  if command -v udevadm >/dev/null 2>&1; then
    udevadm settle || :
  fi
}`;

/** Mounted, swapped to, or part of an array, a group of volumes or an encrypted device. */
export const IN_USE = `in_use() { # DISK-OR-PARTITION
  [ -z "$(lsblk --nodeps --noheadings --output MOUNTPOINT "$1")" ] || return 0
  [ -n "$(ls "/sys/class/block/\${1##*/}/holders" 2>/dev/null || :)" ]
}`;

/** Ends the script where the device, or anything on it, is in use: the tools are forced and ask nobody, and no overwrite means that. */
export const UNUSED = `${IN_USE}
parts=$(lsblk --list --noheadings --paths --output NAME "$device")
for part in $parts; do
  if in_use "$part"; then
    echo "$part is in use on this host, so $device is not written to; nothing may be mounted from it, swap to it or be built on it" >&2
    exit 1
  fi
done`;

export function partitionScript(name: string, table: 'mbr' | 'gpt', layout: Layout, overwrite: boolean): string {
  const parts = ['set -eu', device(name), REREAD, IS_DISK];
  if (layout === 'remove') return `${[...parts, UNUSED, REMOVE].join('\n')}\n`;
  const shares = layout === true ? [{ size: 100 }] : layout;
  const make = table === 'mbr' ? mbr(shares) : gpt(shares);
  return `${[...parts, found(table, layout), ...(overwrite ? [] : [KEEP]), UNUSED, make, 'reread'].join('\n')}\n`;
}

export const IS_DISK = `case $(lsblk --nodeps --noheadings --output TYPE "$device") in
disk | loop) ;;
*) echo "$device is not a whole disk" >&2 && exit 1 ;;
esac`;

const REMOVE = `for part in $(lsblk --list --noheadings --paths --output NAME "$device"); do
  [ "$part" = "$device" ] || wipefs --all "$part"
done
wipefs --all "$device"
reread`;

/** As in cloud-init a disk is as it should be that has as many partitions, of the types that are said; for `true` it is one that has any. */
function found(table: 'mbr' | 'gpt', layout: Shares | true): string {
  const list =
    table === 'mbr'
      ? `sfdisk --dump "$device" 2>/dev/null | sed -n 's/.*type= *\\([0-9A-Za-z-]*\\).*/\\1/p'`
      : `sgdisk --print "$device" 2>/dev/null | sed -n 's/^ *[0-9][0-9]* .* \\([0-9A-F]\\{4\\}\\) .*/\\1/p; s/^ *[0-9][0-9]* .* \\([0-9A-F]\\{4\\}\\)$/\\1/p' | sed 's/00$//'`;
  const types = layout === true ? [] : layout.map(({ type }) => type);
  const checks = types.map((type) => (type === undefined ? '  shift' : `  case $1 in ${quote(type)}) shift ;; *) return 1 ;; esac`));
  return `as_wanted() {
  # shellcheck disable=SC2046 # a type a word
  set -- $(${list})
  [ $# ${layout === true ? '-ge 1' : `-eq ${types.length}`} ] || return 1
${checks.map((check) => `${check}\n`).join('')}}
if as_wanted; then
  echo "$device has these partitions already"
  exit 0
fi`;
}

const KEEP = `if [ "$(lsblk --list --noheadings "$device" | wc -l)" -gt 1 ] || [ -n "$(blkid -c /dev/null -o value -s TYPE "$device" || :)" ]; then
  echo "$device is not empty, and stays as it is without overwrite"
  exit 0
fi`;

const SECTORS = 'sectors=$(($(blockdev --getsize64 "$device") / $(blockdev --getss "$device")))';

/** The last partition takes what is left. Percentages may have a fraction, which sh can't multiply. */
const size = (percent: number) => `$((sectors * ${Math.round(percent * 1000)} / 100000))`;

function mbr(layout: Shares): string {
  const lines = layout.map(({ size: percent, type = '83' }, index) =>
    index === layout.length - 1 ? `,,${type}` : `,${size(percent)},${type}`,
  );
  return `${SECTORS}
sfdisk --force "$device" <<END
label: dos
${lines.join('\n')}
END`;
}

function gpt(layout: Shares): string {
  const commands = layout.flatMap(({ size: percent, type }, index) => {
    const end = index === layout.length - 1 ? '0' : `+${size(percent)}`;
    const typed = type === undefined ? [] : [`sgdisk --typecode=${index + 1}:${quote(type.padEnd(4, '0'))} "$device"`];
    return [`sgdisk --new="${index + 1}:0:${end}" "$device"`, ...typed];
  });
  return `command -v sgdisk >/dev/null 2>&1 || { echo "sgdisk is not installed on this host; install gdisk" >&2; exit 127; }
${SECTORS}
sgdisk --zap-all "$device"
${commands.join('\n')}`;
}

export function fileSystemScript(wanted: FileSystem & { partition: string }): string {
  const label = wanted.label ?? '';
  const parts = [
    'set -eu',
    device(wanted.device),
    `type=${quote(wanted.filesystem ?? '')}`,
    `label=${quote(label)}`,
    ...(wanted.partition.toLowerCase() === 'none' ? [] : [target(wanted)]),
    UNUSED,
    wanted.cmd === undefined ? make(wanted) : command(wanted.cmd),
  ];
  return `${parts.join('\n')}\n`;
}

const VALUE = 'value() { blkid -c /dev/null -o value -s "$1" "$2" || :; }';

function target({ partition, overwrite, replace_fs: replace }: FileSystem & { partition: string }): string {
  const where = partition.toLowerCase();
  const same = `[ "$(value TYPE "$1")" = "$type" ]${where === 'any' ? '' : ' && [ "$(value LABEL "$1")" = "$label" ]'}`;
  if (where === 'any' || where === 'auto')
    return `${VALUE}\n${choose(same, typeof replace === 'string' && where === 'any' ? replace : undefined)}`;
  return `device=$(for part in "\${device}${where}" "\${device}p${where}" "$device-part${where}"; do [ ! -b "$part" ] || { echo "$part"; break; }; done)
if [ -z "$device" ]; then
  echo "the disk has no partition ${where}" >&2
  exit 1
fi${overwrite === true ? '' : `\n${VALUE}\nset -- "$device"\nif ${same}; then\n  echo "$device has this file system already"\n  exit 0\nfi`}`;
}

/** The first partition that has the file system or none, else a disk without partitions and file system. */
const choose = (same: string, replace: string | undefined) => `used=no chosen=
for part in $(lsblk --list --noheadings --paths --output NAME "$device"); do
  set -- "$part"${replace === undefined ? '' : `\n  if [ "$(value TYPE "$part")" = ${quote(replace)} ]; then chosen=$part && break; fi`}
  if ${same}; then
    echo "$part has this file system already"
    exit 0
  fi
  if [ "$part" != "$device" ] || [ -n "$(value TYPE "$part")" ]; then
    used=yes
  fi
  if [ "$part" != "$device" ] && [ -z "$(value TYPE "$part")" ]; then chosen=$part && break; fi
done
if [ -n "$chosen" ]; then
  device=$chosen
elif [ "$used" = yes ]; then
  echo "$device has no room for this file system, and stays as it is"
  exit 0
fi`;

/** Tools that ask back about what they overwrite, and the option that keeps them from it. */
const FORCE: [pattern: RegExp, option: string][] = [
  [/ext/, '-F'],
  [/^(?:btrfs|xfs|reiserfs|swap)$/, '-f'],
];

function make({ filesystem = '', overwrite, extra_opts: options = [] }: FileSystem): string {
  const force = FORCE.find(([pattern]) => pattern.test(filesystem))?.[1] ?? '';
  const extra = options.map((option) => ` ${quote(option)}`).join('');
  const forced =
    overwrite === true
      ? `force=${force}\n`
      : `force=\ncase $(lsblk --nodeps --noheadings --output TYPE "$device") in disk | loop) force=${force} ;; esac\n`;
  return `tool=mkfs.$type
command -v "$tool" >/dev/null 2>&1 || tool=mk$type
if ! command -v "$tool" >/dev/null 2>&1; then
  echo "neither mkfs.$type nor mk$type is installed on this host" >&2
  exit 127
fi
${force === '' ? '' : forced}"$tool" \${label:+-L "$label"}${force === '' ? '' : ' $force'}${extra} "$device"`;
}

/** `cmd` is a template of Python's %: its three names are the values here, also where they stand in quotes, as a text is a command of the shell once it is filled. */
function command(given: string | string[]): string {
  const filled = (word: string) => {
    const pieces = word.split(/(%\((?:label|filesystem|device)\)s)/);
    const value = (piece: string) => (piece.startsWith('%(l') ? '"$label"' : piece.startsWith('%(f') ? '"$type"' : '"$device"');
    return pieces.map((piece, index) => (index % 2 === 1 ? value(piece) : piece.replaceAll('%%', '%')));
  };
  const asWord = (text: string) =>
    filled(text)
      .map((piece, index) => (index % 2 === 1 || piece === '' ? piece : quote(piece)))
      .join('');
  return typeof given === 'string' ? `/bin/sh -c ${asWord(given)}` : given.map(asWord).join(' ');
}
