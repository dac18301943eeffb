import type { CleanupPlan } from './plan.ts';
import {
  CLEAN_NETWORK,
  EMPTY,
  KILL_TREE,
  LIMITED,
  NETWORK_IS_CLEAN,
  NO_POD,
  noProcess,
  noService,
  nothingAt,
  REMOVE_SENTINEL,
  script,
  SHIMS,
  STOP_UNIT,
} from './shell.ts';

/** Two runtimes on a host make kubeadm ask which; the kubelet's settings say it (instance-config.yaml since Kubernetes 1.34). */
const RESET = `has kubeadm || exit 0
socket=$(cat /var/lib/kubelet/instance-config.yaml /var/lib/kubelet/kubeadm-flags.env 2>/dev/null |
  sed -n 's/.*[Cc]ontainer-\\{0,1\\}[Rr]untime-\\{0,1\\}[Ee]ndpoint[=:] *"\\{0,1\\}\\([^" ]*\\).*/\\1/p' | head -n 1)
if [ -n "$socket" ]; then
  limited 300 kubeadm reset --force --cri-socket "$socket"
else
  limited 300 kubeadm reset --force
fi`;

/** Only what kubeadm reset left: it ends early if the runtime doesn't answer. */
const STOP_PODS = `if [ -n "$(shims)" ] && has ctr; then
  for task in $(limited 30 ctr --namespace k8s.io tasks list --quiet); do
    limited 30 ctr --namespace k8s.io tasks kill --signal SIGKILL "$task"
  done
fi
shims | kill_tree`;

/** kubeadm and kubelet themselves were on the host before (its image) or are packages: they stay, with the empty directories. */
const REMOVE_FILES = `rm -f /etc/kubernetes/*.conf
for directory in /etc/kubernetes/manifests /etc/kubernetes/pki /etc/kubernetes/tmp /var/lib/etcd /var/lib/kubelet /var/lib/dockershim /run/kubeadm; do
  empty "$directory"
done
${REMOVE_SENTINEL}`;

/** KubeadmConfig of the Cluster API kubeadm bootstrap provider. */
export const kubeadm: CleanupPlan = {
  source: 'kubeadm',
  commands: [
    { name: 'kubeadm reset', script: script([LIMITED], RESET), mayFail: true },
    { name: 'stop kubelet', script: script([STOP_UNIT], 'stop_unit kubelet'), mayFail: true },
    { name: 'stop pods', script: script([LIMITED, SHIMS, KILL_TREE], STOP_PODS), mayFail: true },
    { name: 'remove files of kubeadm and kubelet', script: script([EMPTY], REMOVE_FILES), mayFail: true },
    { name: 'clean the network', script: CLEAN_NETWORK, mayFail: true },
  ],
  checks: [
    noService(['kubelet']),
    noProcess('no process of Kubernetes is alive', [
      '*/kubelet',
      '*/kube-apiserver',
      '*/kube-controller-manager',
      '*/kube-scheduler',
      '*/kube-proxy',
    ]),
    NO_POD,
    nothingAt('no static pod, certificate or kubeconfig in /etc/kubernetes', [
      '/etc/kubernetes/manifests',
      '/etc/kubernetes/pki',
      '/etc/kubernetes/*.conf',
    ]),
    nothingAt('no data of etcd', ['/var/lib/etcd']),
    nothingAt('no state of the kubelet', ['/var/lib/kubelet']),
    nothingAt('no join configuration with a token', ['/run/kubeadm']),
    NETWORK_IS_CLEAN,
  ],
};
