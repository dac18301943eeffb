/**
 * Parts of which the providers' scripts are made. All run under dash and busybox, need nothing that a minimal host lacks, and
 * do nothing where there is nothing to do: a host may be cleaned whose bootstrap failed before it installed anything.
 */

/** Puts functions before a body; a variable that is not set ends the script. */
export function script(functions: string[], body: string): string {
  return [HEAD, ...functions, body, ''].join('\n');
}

const HEAD = `set -u
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin:/opt/bin:/opt/rke2/bin`;

/** has COMMAND: the host has it. */
export const HAS = `has() {
  command -v "$1" >/dev/null 2>&1
}`;

/** has, and limited SECONDS COMMAND…: runs it for at most so long, where the host has timeout. */
export const LIMITED = `${HAS}
limited() {
  if has timeout; then
    timeout "$@"
  else
    shift
    "$@"
  fi
}`;

/** stop_unit NAME: stops a service of systemd or OpenRC, if there is one, and forgets that it failed. */
export const STOP_UNIT = `stop_unit() {
  if [ -d /run/systemd/system ]; then
    if systemctl cat "$1.service" >/dev/null 2>&1; then
      systemctl stop "$1.service"
      systemctl reset-failed "$1.service" 2>/dev/null || :
    fi
  elif [ -x "/etc/init.d/$1" ]; then
    "/etc/init.d/$1" stop
  fi
}`;

/** mounts_below DIRECTORY: mount points within it, the deepest first; not the directory itself, which may be a disk of its own. */
const MOUNTS_BELOW = `mounts_below() {
  top=$(readlink -f "$1") || return 0
  while read -r _ _ _ _ mount _; do
    case $mount in
    "$top"/*) echo "$mount" ;;
    esac
  done </proc/self/mountinfo | sort -r
}`;

/**
 * empty DIRECTORY: unmounts what is mounted within and removes all content, then the directory if it is no mount point.
 * Nothing is removed while something is still mounted: it may be the only copy of somebody's data.
 */
export const EMPTY = `${MOUNTS_BELOW}
empty() {
  [ -d "$1" ] || return 0
  left=$(mounts_below "$1") || return 1
  if [ -n "$left" ]; then
    echo "$left" | while IFS= read -r mount; do
      mount=$(printf '%b' "$mount")
      umount "$mount" 2>/dev/null || umount -l "$mount"
    done
    left=$(mounts_below "$1") || return 1
  fi
  if [ -n "$left" ]; then
    echo "still mounted, so $1 is not removed: $left"
    return 1
  fi
  find "$1/" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  rmdir "$1" 2>/dev/null || :
}`;

/** shims: process numbers of the containerd shims that hold pods. */
export const SHIMS = `shims() {
  for proc in /proc/[0-9]*; do
    case $(readlink "$proc/exe" 2>/dev/null) in
    */containerd-shim*)
      if tr '\\0' ' ' <"$proc/cmdline" 2>/dev/null | grep -q -e '-namespace k8s.io '; then
        echo "\${proc#/proc/}"
      fi
      ;;
    esac
  done
}`;

/** kill_tree: reads process numbers, kills each with all its descendants. */
export const KILL_TREE = `children() {
  for stat in /proc/[0-9]*/stat; do
    line=$(cat "$stat" 2>/dev/null) || continue
    rest=\${line##*) }
    rest=\${rest#* }
    if [ "\${rest%% *}" = "$1" ]; then
      echo "\${line%% *}"
    fi
  done
}
kill_tree() {
  while read -r parent; do
    children "$parent" | kill_tree
    kill -9 "$parent" 2>/dev/null || :
  done
}`;

/** Interfaces that CNI plugins and kube-proxy make; those of pods go with the pods. */
const INTERFACES = [
  ...['cni0', 'flannel.1', 'flannel-v6.1', 'flannel-wg', 'flannel-wg-v6', 'vxlan.calico', 'vxlan-v6.calico', 'wireguard.cali'],
  ...['cilium_host', 'cilium_net', 'cilium_vxlan', 'cilium_geneve', 'cilium_wg0', 'kube-bridge', 'kube-dummy-if', 'kube-ipvs0'],
  ...['nodelocaldns', 'antrea-gw0', 'antrea-egress0', 'weave', 'vxlan-6784'],
].join(' ');

/** Files that CNI plugins put into /etc/cni/net.d when their pods start. Others belong to the host's image and stay. */
const CNI_FILES = ['calico', 'canal', 'cilium', 'flannel', 'antrea', 'weave', 'kuberouter', 'kube-router', 'multus', 'kube-ovn', 'k0s']
  .map((name) => `/etc/cni/net.d/*${name}*`)
  .join(' ');

/**
 * Interfaces, packet filter rules and CNI state of a cluster; what Cilium put aside comes back. Runs when no pod is left, so that nothing makes
 * them anew.
 */
export const CLEAN_NETWORK = script(
  [HAS, EMPTY],
  `for interface in ${INTERFACES}; do
  if [ -e "/sys/class/net/$interface" ]; then
    ip link delete "$interface"
  fi
done
if has ipvsadm && [ -s /proc/net/ip_vs ]; then
  ipvsadm --clear
fi
rules='[: ](KUBE-|CNI-|CILIUM_|cali-|FLANNEL-|ANTREA-|WEAVE)'
for family in iptables ip6tables; do
  if has "$family-save" && "$family-save" 2>/dev/null | grep -Eq "$rules"; then
    "$family-save" | grep -Ev "$rules" | "$family-restore"
  fi
done
if has nft; then
  for family in ip ip6; do
    nft delete table "$family" kube-proxy 2>/dev/null || :
  done
fi
for file in /etc/cni/net.d/*.cilium_bak; do
  if [ -e "$file" ]; then
    mv "$file" "\${file%.cilium_bak}"
  fi
done
for file in ${CNI_FILES}; do
  rm -rf "$file"
done
for directory in /var/lib/cni /var/lib/calico /run/flannel /run/calico /run/cilium /run/xtables-cni; do
  empty "$directory"
done`,
);

export const NETWORK_IS_CLEAN = {
  name: 'no network interface or CNI file of a cluster',
  script: script(
    [],
    `left=0
for interface in ${INTERFACES}; do
  if [ -e "/sys/class/net/$interface" ]; then
    echo "network interface $interface is left"
    left=1
  fi
done
for file in ${CNI_FILES}; do
  if [ -e "$file" ]; then
    echo "$file is left"
    left=1
  fi
done
exit "$left"`,
  ),
};

/** Removes the sentinel, which commands of the bootstrap data write and so is in no list of files. */
export const REMOVE_SENTINEL = `rm -f /run/cluster-api/bootstrap-success.complete
rmdir /run/cluster-api 2>/dev/null || :`;

/** No process whose executable matches one of the shell patterns. Scripts and their arguments don't match themselves. */
export function noProcess(name: string, patterns: string[]): { name: string; script: string } {
  const body = `left=0
for proc in /proc/[0-9]*; do
  exe=$(readlink "$proc/exe" 2>/dev/null) || continue
  case \${exe%" (deleted)"} in
  ${patterns.join(' | ')})
    echo "process \${proc#/proc/} is alive: $exe"
    left=1
    ;;
  esac
done
exit "$left"`;
  return { name, script: script([], body) };
}

export const NO_POD = {
  name: 'no pod is running',
  script: script(
    [SHIMS],
    `left=$(shims)
if [ -n "$left" ]; then
  echo "processes that hold pods are alive: $(echo "$left" | tr '\\n' ' ')"
  exit 1
fi`,
  ),
};

/** None of the services is running or about to. A failed one is as good as one that is stopped. */
export function noService(services: string[]): { name: string; script: string } {
  const body = `left=0
look_at() {
  state=inactive
  if [ -d /run/systemd/system ]; then
    state=$(systemctl is-active "$1.service" 2>/dev/null) || :
  elif [ -x "/etc/init.d/$1" ] && "/etc/init.d/$1" status >/dev/null 2>&1; then
    state=active
  fi
  case $state in
  active | activating | deactivating | reloading | refreshing)
    echo "service $1 is $state"
    left=1
    ;;
  esac
}
${services.map((service) => `look_at ${service}`).join('\n')}
exit "$left"`;
  return { name: `no service ${services.join(' or ')} is running`, script: script([], body) };
}

/** Nothing at the paths, which may be patterns of the shell; an empty directory is nothing. */
export function nothingAt(name: string, paths: string[]): { name: string; script: string } {
  const body = `left=0
look_at() {
  for path; do
    if [ -d "$path" ]; then
      found=$(find "$path/" -mindepth 1 2>/dev/null | head -n 5)
    elif [ -e "$path" ] || [ -L "$path" ]; then
      found=$path
    else
      found=
    fi
    if [ -n "$found" ]; then
      echo "$found"
      left=1
    fi
  done
}
look_at ${paths.join(' ')}
exit "$left"`;
  return { name, script: script([], body) };
}
