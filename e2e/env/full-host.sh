#!/bin/sh
# A full host, booted with systemd: full-host.sh NAME BASE DISK, in a mount namespace of its own
# (see light-host.sh for DISK). CGROUPS holds the folders of the host's own control groups, separated by colons: without them the
# machines' managers would share one tree and stop each other's services.
set -e
name=$1 base=$2 disk=$3
mount -t overlay overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
IFS=:
for cgroup in $CGROUPS; do echo $$ >"$cgroup/cgroup.procs"; done
# The network namespace exists already, so nspawn doesn't grant the right to change it by itself.
# With --keep-unit it leaves a reboot to whoever started it, and says so by its exit code.
code=133
while [ "$code" = 133 ]; do
  code=0
  systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --directory="$disk/root" --machine="$name" \
    --network-namespace-path="/run/netns/$NETNS" --capability=CAP_NET_ADMIN --boot </dev/null || code=$?
done
exit "$code"
