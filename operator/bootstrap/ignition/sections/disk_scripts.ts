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
    ...(sorted.length === 0 ? [] : [PARTITION]),
    ...(sorted.some(isOpen) ? [FORESEE, ...sorted.map(call('foresee'))] : []),
    ...(sorted.length === 0 ? [] : [...sorted.map(call('partition')), COMMIT]),
    'reread',
  ];
  return `${parts.join('\n')}\n`;
}

/** It may be there already, and where it is to lie depends on all the others. */
const isOpen = ({ number = 0, startMiB, sizeMiB }: Partition): boolean => number !== 0 && (startMiB === 0 || sizeMiB === 0);

const call =
  (verb: 'partition' | 'foresee') =>
  (one: Partition): string => {
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
    return `${verb} ${words.join(' ')}${label}`;
  };

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
look() { # NUMBER: sets found, which is empty where there is none, and where it lies
  found=
  [ "$1" = 0 ] || found=$(info "$1")
  case $found in *'does not exist'*) found= ;; esac
  has_start=$(value 'First sector') has_size=$(value 'Partition size')
}
same() { [ -z "$1" ] || [ "$(printf '%s' "$1" | tr a-f A-F)" = "$2" ]; }
deletions='' creations=''
partition() { # NUMBER present|absent wipe|keep resize|fixed START SIZE TYPE GUID [LABEL]
  number=$1 wanted=$2 wipe=$3 resize=$4 start=$5 size=$6 type=$7 guid=$8
  shift 8
  look "$number"
  if [ -z "$found" ]; then
    [ "$wanted" = absent ] || create "$@"
    return
  fi
  if [ "$wanted" = absent ]; then
    [ "$wipe" = wipe ] || { echo "partition $number of $device exists, and wipePartitionEntry is not true" >&2; exit 1; }
    remove
    return
  fi
  name=$(printf '%s\\n' "$found" | sed -n "s/^Partition name: '\\(.*\\)'$/\\1/p")
  if [ "$start" = 0 ] || [ "$size" = 0 ]; then place; fi
  [ -n "$start" ] || [ "$wipe" = wipe ] || start=$has_start
  if { [ -z "$start" ] || [ "$start" = "$has_start" ]; } && same "$type" "$(value 'Partition GUID code')" &&
    same "$guid" "$(value 'Partition unique GUID')" && { [ $# = 0 ] || [ "$1" = "$name" ]; }; then
    if [ -z "$size" ] || [ "$size" = "$has_size" ]; then
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

/** As Ignition finds out what 0 is: by what sgdisk would do of the whole table. */
const FORESEE = `forgone='' foreseen=''
foresee() { # as partition
  number=$1 wanted=$2 wipe=$3 start=$5 size=$6
  look "$number"
  if [ -n "$found" ]; then
    forgone="$forgone --delete=$number"
    if [ "$wipe" = keep ]; then
      : "\${start:=$has_start}" "\${size:=$has_size}"
    fi
  fi
  [ "$wanted" = absent ] || foreseen="$foreseen --new=$number:\${start:-0}:+\${size:-0}"
}
place() { # sets start and size where they are 0
  had=$found
  # shellcheck disable=SC2086 # numbers
  found=$(sgdisk --pretend $forgone $foreseen --info="$number" "$device")
  [ "$start" != 0 ] || start=$(value 'First sector')
  [ "$size" != 0 ] || size=$(value 'Partition size')
  found=$had
}`;

const COMMIT = `if [ -n "$deletions$creations" ]; then
  set -f
  IFS='
'
  # shellcheck disable=SC2086 # an option a line
  sgdisk $deletions$creations "$device"
  IFS=' '
fi`;
