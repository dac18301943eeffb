import { quote } from '../../../ssh/quote.ts';

export interface Mount {
  device: string;
  point: string;
  type: string;
  /** undefined: as fits the host's init. */
  options: string | undefined;
  frequency: string;
  pass: string;
}

export interface Swap {
  file: string;
  /** Bytes, or as much as fits the host's memory and disk. */
  size: number | 'auto';
  maxsize: number | undefined;
}

interface Wanted {
  mounts: Mount[];
  /** Every device that the document names, also where it says that it is not mounted. */
  named: string[];
  /** Those of devices that neither the document nor /etc/fstab names. */
  usual: Mount[];
  swap: Swap | undefined;
}

/** The script that writes /etc/fstab, makes what is missing and mounts it. */
export function mountsScript({ mounts, named, usual, swap }: Wanted): string {
  const parts = [
    'set -eu',
    HEAD,
    ...(mounts.length + usual.length > 0 ? [DEVICE] : []),
    ...(mounts.length > 0 ? [ADD, ...mounts.map((mount) => `add_mount ${fields(mount)}`)] : []),
    ...(usual.length === 0 ? [] : [USUAL, ...usual.map((mount) => `add_usual ${fields(mount)} -- ${named.map(quote).join(' ')}`)]),
    ...(swap === undefined ? [] : [swapPart(swap)]),
    TAIL,
  ];
  return `${parts.join('\n')}\n`;
}

const fields = ({ device, point, type, options, frequency, pass }: Mount) =>
  `${[device, point, type].map(quote).join(' ')} ${options === undefined ? '"$default_options"' : quote(options)} ${quote(frequency)} ${quote(pass)}`;

/** Lines with the comment are those of an earlier run. Those of the cloud-init that set up the image have another one, and stay. */
const HEAD = `comment=comment=cluster-api
default_options=defaults,nobootwait
if [ -d /run/systemd/system ]; then
  default_options=defaults,nofail,_netdev
fi
added=
swaps=no
new_points=no
tab=$(printf '\\t')
line_break='
'
add() { # DEVICE POINT TYPE OPTIONS FREQUENCY PASS
  added=$added$1$tab$2$tab$3$tab$4,$comment$tab$5$tab$6$line_break
  case $3 in swap) swaps=yes ;; esac
  case $2 in
  /*)
    mkdir -p "$2"
    grep -q " $2 " /proc/self/mounts || new_points=yes
    ;;
  esac
}`;

/** A name such as sdb or sdb.1 is one in /dev, a disk that has partitions stands for its first one; any other name stays as it is. */
const DEVICE = `resolve() { # NAME: sets name
  name=$1
  disk=$1
  part=1
  case $1 in
  *:*) disk= ;;
  *.[0-9] | *.[0-9][0-9]) disk=\${1%.*} part=\${1##*.} ;;
  esac
  case $disk in
  [shv]d[a-z] | [shv]d[a-z][0-9]* | xvd[a-z] | xvd[a-z][0-9]* | sr[0-9]*) disk=/dev/$disk ;;
  esac
  if [ -b "$disk" ]; then
    for partition in "$disk$part" "\${disk}p$part" "$disk-part$part"; do
      if [ -b "$partition" ]; then name=$partition && break; fi
    done
    case $name in
    "$1") if [ "$disk.$part" != "$1" ]; then name=$disk; fi ;;
    esac
  fi
}`;

const ADD = `add_mount() { # NAME POINT TYPE OPTIONS FREQUENCY PASS
  resolve "$1"
  shift
  add "$name" "$@"
}`;

const USUAL = `add_usual() { # NAME POINT TYPE OPTIONS FREQUENCY PASS -- NAME…
  resolve "$1"
  [ -b "$name" ] || return 0
  device=$name point=$2 type=$3 options=$4 frequency=$5 pass=$6
  shift 7
  for other in "$@"; do
    resolve "$other"
    if [ "$name" = "$device" ]; then return; fi
  done
  if [ -r /etc/fstab ]; then
    while read -r name rest || [ -n "$name" ]; do
      case $rest in *"$comment"*) continue ;; esac
      if [ "$name" = "$device" ]; then return; fi
    done </etc/fstab
  fi
  add "$device" "$point" "$type" "$options" "$frequency" "$pass"
}`;

const TAIL = `if [ -z "$added" ]; then
  exit 0
fi
others() { # on standard input, without what this run writes anew
  while IFS= read -r entry || [ -n "$entry" ]; do
    case $entry in
    *"$comment"*) continue ;;
    *comment=cloudconfig*)
      set -f
      # shellcheck disable=SC2086 # fields
      set -- $entry
      set +f
      case $line_break$added in *"$line_break$1$tab\${2-}$tab"*) continue ;; esac
      ;;
    esac
    printf '%s\\n' "$entry"
  done
}
kept=
if [ -e /etc/fstab ]; then
  kept=$(others </etc/fstab)
fi
printf '%s\\n' "\${kept:+$kept$line_break}\${added%?}" >/etc/fstab
if [ "$swaps" = yes ]; then
  swapon -a
fi
if [ "$new_points" = yes ]; then
  mount -a
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi`;

function swapPart({ file, size, maxsize }: Swap): string {
  const bytes = size === 'auto' ? automaticSize(maxsize) : `bytes=${size}`;
  return `swap_file=${quote(file)}
swap_folder=\${swap_file%/*}
if ! grep -q "^$swap_file " /proc/swaps; then
  mkdir -p "\${swap_folder:-/}"
  ${bytes.replaceAll('\n', '\n  ')}
  megabytes=$((bytes / 1048576))
  if [ "$megabytes" -gt 0 ]; then
    # A file that btrfs copies on write can't be swapped to; the attribute is for an empty one.
    if [ "$(stat -f -c %t "\${swap_folder:-/}")" = 9123683e ]; then
      : >"$swap_file"
      chattr +C "$swap_file"
    fi
    fallocate -l "\${megabytes}M" "$swap_file" 2>/dev/null || dd if=/dev/zero of="$swap_file" bs=1M count="$megabytes"
    chmod 0600 "$swap_file"
    mkswap "$swap_file"
  fi
fi
if [ -e "$swap_file" ]; then
  add "$swap_file" none swap sw 0 0
fi`;
}

/** As cloud-init suggests: as much as memory where that is little, and never more than the disk has room for. */
function automaticSize(maxsize: number | undefined): string {
  const limit =
    maxsize === undefined
      ? 'most=$((free / 4))\n[ "$most" -lt $((memory * 2)) ] || most=$((memory * 2))'
      : `most=${maxsize}\n[ "$most" -le $((free * 9 / 10)) ] || most=$((free * 9 / 10))`;
  return `memory=$(($(sed -n 's/^MemTotal: *\\([0-9]*\\) .*/\\1/p' /proc/meminfo) * 1024))
# shellcheck disable=SC2046 # the fields of its last line
set -- $(df -P -k "\${swap_folder:-/}" | tail -n 1)
free=$((($2 - $3) * 1024))
${limit}
gigabyte=1073741824
if [ "$memory" -lt $((4 * gigabyte)) ]; then
  bytes=$memory
elif [ "$memory" -lt $((16 * gigabyte)) ]; then
  bytes=$((4 * gigabyte))
else
  root=4
  while [ $((root * root + root)) -lt $((memory / gigabyte)) ]; do root=$((root + 1)); done
  bytes=$((root * gigabyte))
fi
[ "$bytes" -le "$most" ] || bytes=$most`;
}
