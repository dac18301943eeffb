import type { CleanupInput } from './plan.ts';
import { planCleanup } from './planner.ts';

const bootstrap = (kind: string, group = 'bootstrap.cluster.x-k8s.io') => ({ bootstrap: { kind, group } });

test.each<[string, CleanupInput, string | undefined]>([
  ['kubeadm', bootstrap('KubeadmConfig'), 'kubeadm'],
  ['a k0s controller', bootstrap('K0sControllerConfig'), 'k0s'],
  ['a k0s worker', bootstrap('K0sWorkerConfig'), 'k0s'],
  ['RKE2', bootstrap('RKE2Config'), 'rke2'],
  ['K3s', bootstrap('KThreesConfig'), 'k3s'],
  ['MicroK8s', bootstrap('MicroK8sConfig'), 'microk8s'],
  ['the same kind in another group', bootstrap('KubeadmConfig', 'example.com'), undefined],
  ['a name that every object has', bootstrap('constructor', ''), undefined],
  ['nothing', {}, undefined],
  ['no commands', { commands: [] }, undefined],
  ['no commands and a provider', { commands: [], ...bootstrap('KubeadmConfig') }, 'kubeadm'],
  ['commands, before the provider', { commands: ['true'], ...bootstrap('KubeadmConfig') }, 'cleanUpCommands'],
])('cleanup for %s', (_, input, source) => expect(planCleanup(input)?.source).toBe(source));

test('the user’s commands stand as they are, and each must succeed', () => {
  expect(planCleanup({ commands: ['a && b', "c 'd'"] })).toEqual({
    source: 'cleanUpCommands',
    commands: [
      { name: 'cleanUpCommands[0]', script: 'a && b', mayFail: false },
      { name: 'cleanUpCommands[1]', script: "c 'd'", mayFail: false },
    ],
    checks: [],
  });
});

test.each([
  ['KubeadmConfig', ['kubeadm reset', 'stop kubelet', 'stop pods', 'remove files of kubeadm and kubelet', 'clean the network']],
  ['K0sControllerConfig', ['k0s etcd leave', 'stop k0s', 'k0s reset', 'stop pods', 'remove files of k0s', 'clean the network']],
  ['K0sWorkerConfig', ['stop k0s', 'k0s reset', 'stop pods', 'remove files of k0s', 'clean the network']],
  ['RKE2Config', ['stop rke2', 'rke2-killall.sh', 'rke2-uninstall.sh', 'remove files of rke2', 'clean the network']],
  ['KThreesConfig', ['stop k3s', 'k3s-killall.sh', 'k3s-uninstall.sh, k3s-agent-uninstall.sh', 'remove files of k3s', 'clean the network']],
  ['MicroK8sConfig', ['microk8s leave', 'snap remove microk8s', 'remove files of microk8s', 'clean the network']],
])('%s: commands in order', (kind, names) => {
  expect(planCleanup(bootstrap(kind))?.commands.map((command) => command.name)).toEqual(names);
});

test('golden: kubeadm reset', () => {
  expect(planCleanup(bootstrap('KubeadmConfig'))?.commands[0]?.script).toBe(`set -u
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin:/opt/bin:/opt/rke2/bin
has() {
  command -v "$1" >/dev/null 2>&1
}
limited() {
  if has timeout; then
    timeout "$@"
  else
    shift
    "$@"
  fi
}
has kubeadm || exit 0
socket=$(cat /var/lib/kubelet/instance-config.yaml /var/lib/kubelet/kubeadm-flags.env 2>/dev/null |
  sed -n 's/.*[Cc]ontainer-\\{0,1\\}[Rr]untime-\\{0,1\\}[Ee]ndpoint[=:] *"\\{0,1\\}\\([^" ]*\\).*/\\1/p' | head -n 1)
if [ -n "$socket" ]; then
  limited 300 kubeadm reset --force --cri-socket "$socket"
else
  limited 300 kubeadm reset --force
fi
`);
});
