import type { CleanupPlan } from './plan.ts';
import { CLEAN_NETWORK, EMPTY, HAS, LIMITED, NETWORK_IS_CLEAN, noProcess, nothingAt, REMOVE_SENTINEL, script } from './shell.ts';

/** Leaves the cluster's datastore in order; a node that is alone cannot, and exits with an error. */
const LEAVE = 'has microk8s || exit 0\nlimited 120 microk8s leave';

/** --purge: without it snapd keeps a snapshot of all data for a month. */
const REMOVE = `has snap || exit 0
snap list microk8s >/dev/null 2>&1 || exit 0
limited 420 snap remove --purge microk8s`;

const INSTALLED = `has snap || exit 0
if snap list microk8s >/dev/null 2>&1; then
  echo 'the snap microk8s is installed'
  exit 1
fi`;

const REMOVE_FILES = `for directory in /var/snap/microk8s /root/snap/microk8s /var/lib/kubelet; do
  empty "$directory"
done
if [ -L /var/lib/kubelet ]; then
  rm -f /var/lib/kubelet
fi
${REMOVE_SENTINEL}`;

/** MicroK8sConfig of the Cluster API MicroK8s provider, whose bootstrap installs the snap. */
export const microk8s: CleanupPlan = {
  source: 'microk8s',
  commands: [
    { name: 'microk8s leave', script: script([LIMITED], LEAVE), mayFail: true },
    { name: 'snap remove microk8s', script: script([LIMITED], REMOVE), mayFail: true },
    { name: 'remove files of microk8s', script: script([EMPTY], REMOVE_FILES), mayFail: true },
    { name: 'clean the network', script: CLEAN_NETWORK, mayFail: true },
  ],
  checks: [
    { name: 'the snap microk8s is not installed', script: script([HAS], INSTALLED) },
    noProcess('no process of microk8s is alive', ['/snap/microk8s/*', '/var/snap/microk8s/*', '/var/lib/snapd/snap/microk8s/*']),
    nothingAt('no data of microk8s', ['/var/snap/microk8s', '/root/snap/microk8s', '/var/lib/kubelet']),
    NETWORK_IS_CLEAN,
  ],
};
