import { rancherPlan } from './rancher.ts';

/** KThreesConfig of the Cluster API K3s provider, whose bootstrap installs K3s with its installer. */
export const k3s = rancherPlan({
  source: 'k3s',
  services: ['k3s', 'k3s-agent'],
  scripts: { killall: 'k3s-killall.sh', uninstall: ['k3s-uninstall.sh', 'k3s-agent-uninstall.sh'] },
  directories: ['/etc/rancher/k3s', '/etc/rancher/node', '/var/lib/rancher/k3s', '/var/lib/kubelet', '/run/k3s'],
  processes: ['*/k3s', '/var/lib/rancher/k3s/*'],
});
