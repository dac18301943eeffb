import { device, IN_USE, IS_DISK, REREAD } from '../../cloud-config/modules/disk_scripts.ts';
import { quote } from '../../../ssh/quote.ts';
import type { Disk, Partition } from './disks.ts';

/**
 * Partitions as Ignition makes them: one that is there as it should be stays, one that is not is an error unless its entry may be
 * wiped or it only has to grow. What is in use on the host is not touched.
 */
export function diskScript({ device: name, wipeTable, partitions = [] }: Disk): string {
  // Those without a number take what is left.
  const sorted = partitions.toSorted((a, b) => Number((a.number ?? 0) === 0) - Number((b.number ?? 0) === 0));
  const parts = [
    'set -eu',
    device(name),
    REREAD,
    IS_DISK,
    IN_USE,
    PARTS,
    'if in_use "$device"; then',
    '  echo "$device is in use as a whole" >&2',
    '  exit 1',
    'fi',
    ...(wipeTable === true ? [WIPE] : []),
    ...(sorted.length === 0 ? [] : [PARTITION, ...sorted.map(call), COMMIT]),
    'reread',
  ];
  return `${parts.join('\n')}\n`;
}

function call(one: Partition): string {
  const word = (value: string | undefined) => (value === undefined || value === '' ? "''" : quote(value));
  const options = [
    one.shouldExist === false ? 'absent' : 'present',
    one.wipePartitionEntry === true ? 'wipe' : 'keep',
    one.resize === true ? 'resize' : 'fixed',
  ];
  // The label comes last: only it may be given and empty.
  const label = one.label === undefined ? '' : ` ${one.label === '' ? "''" : quote(one.label)}`;
  const sectors = (mib: number | undefined) => (mib === undefined ? "''" : `"$((${mib} * mib))"`);
  const words = [String(one.number ?? 0), ...options, sectors(one.startMiB), sectors(one.sizeMiB), word(one.typeGuid), word(one.guid)];
  return `partition ${words.join(' ')}${label}`;
}

const PARTS = `parts() { lsblk --list --noheadings --paths --output NAME "$device" | grep -vx "$device" || :; }`;

const WIPE = `for part in $(parts); do
  if in_use "$part"; then
    echo "$part is in use: the table of $device is not wiped" >&2
    exit 1
  fi
done
# It ends with 2 where the table was damaged, and has mended it by then.
sgdisk --zap-all "$device" || sgdisk --zap-all "$device"`;

const PARTITION = `mib=$((1048576 / $(blockdev --getss "$device")))
info() { sgdisk --info="$1" "$device"; }
value() { printf '%s\\n' "$found" | sed -n "s/^$1: \\([^ ]*\\).*/\\1/p"; }
same() { [ -z "$1" ] || [ "$(printf '%s' "$1" | tr a-f A-F)" = "$2" ]; }
deletions='' creations=''
partition() { # NUMBER present|absent wipe|keep resize|fixed START SIZE TYPE GUID [LABEL]
  number=$1 wanted=$2 wipe=$3 resize=$4 start=$5 size=$6 type=$7 guid=$8
  shift 8
  found=
  [ "$number" = 0 ] || found=$(info "$number")
  case $found in
  '' | *'does not exist'*)
    [ "$wanted" = absent ] || create "$@"
    return
    ;;
  esac
  if [ "$wanted" = absent ]; then
    [ "$wipe" = wipe ] || { echo "partition $number of $device exists, and wipePartitionEntry is not true" >&2; exit 1; }
    remove
    return
  fi
  has_start=$(value 'First sector') has_size=$(value 'Partition size')
  [ -n "$start" ] || [ "$wipe" = wipe ] || start=$has_start
  name=$(printf '%s\\n' "$found" | sed -n "s/^Partition name: '\\(.*\\)'$/\\1/p")
  if { [ -z "$start" ] || [ "$start" = 0 ] || [ "$start" = "$has_start" ]; } && same "$type" "$(value 'Partition GUID code')" &&
    same "$guid" "$(value 'Partition unique GUID')" && { [ $# = 0 ] || [ "$1" = "$name" ]; }; then
    if [ "$resize" = resize ] && [ "$size" = 0 ]; then
      size=$(sgdisk --pretend --delete="$number" --new="$number:$has_start:+0" --info="$number" "$device" | sed -n 's/^Partition size: \\([0-9]*\\).*/\\1/p')
    fi
    if [ -z "$size" ] || [ "$size" = 0 ] || [ "$size" = "$has_size" ]; then
      echo "partition $number of $device is as it should be"
      return
    fi
    if [ "$resize" = resize ]; then
      start=$has_start type=$(value 'Partition GUID code') guid=$(value 'Partition unique GUID')
      remove
      create "$name"
      return
    fi
  fi
  [ "$wipe" = wipe ] || { echo "partition $number of $device is another one, and wipePartitionEntry is not true" >&2; exit 1; }
  remove
  create "$@"
}
remove() {
  for part in "$device$number" "\${device}p$number"; do
    if [ -b "$part" ] && in_use "$part"; then
      echo "$part is in use and is not changed" >&2
      exit 1
    fi
  done
  deletions="$deletions
--delete=$number"
}
create() { # [LABEL]
  creations="$creations
--new=$number:\${start:-0}:+\${size:-0}"
  [ $# = 0 ] || creations="$creations
--change-name=$number:$1"
  [ -z "$type" ] || creations="$creations
--typecode=$number:$type"
  [ -z "$guid" ] || creations="$creations
--partition-guid=$number:$guid"
}`;

const COMMIT = `if [ -n "$deletions$creations" ]; then
  set -f
  IFS='
'
  # shellcheck disable=SC2086 # an option a line
  sgdisk $deletions$creations "$device"
  IFS=' '
fi`;
